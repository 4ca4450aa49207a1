using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Responses;

/// <summary>What a client takes for an answer.</summary>
/// <param name="Json">Plain JSON.</param>
/// <param name="Events">An event stream.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct Accepted(bool Json, bool Events)
{
    private const string Usual = "application/json, text/event-stream";

    /// <summary>Whether both are taken, as clients of the protocol have to say.</summary>
    public bool IsUsual => Json && Events;

    /// <summary>Reads the <c>Accept</c> header; without one everything is taken.</summary>
    public static Accepted By(HttpRequest request)
    {
        var accept = request.Headers.Accept.ToString();
        return accept == Usual ? new(Json: true, Events: true) : new(Has(accept, "application/json"), Has(accept, "text/event-stream"));
    }

    private static bool Has(string accept, string type) =>
        accept.Length == 0 || accept.Contains(type, StringComparison.OrdinalIgnoreCase) || accept.Contains("*/*", StringComparison.Ordinal)
        || accept.Contains(string.Concat(type.AsSpan(0, type.IndexOf('/', StringComparison.Ordinal)), "/*"), StringComparison.OrdinalIgnoreCase);
}
