using Microsoft.AspNetCore.Authentication;

namespace ServerInWebApplication;

/// <summary>Which key is which team's. A real application would keep hashes of them, and not in its code.</summary>
internal sealed class TeamKeyOptions : AuthenticationSchemeOptions
{
    public Dictionary<string, string> Keys { get; set; } = [];
}
