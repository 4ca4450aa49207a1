using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Access;

/// <summary>
/// What a request's headers carry to show who sends it. A token in a query string is none (OAuth 2.1 section 5.1.1; MCP 2026-07-28,
/// "Token Requirements").
/// </summary>
/// <param name="Scheme">The scheme of <c>Authorization</c>; empty when there is no such header.</param>
/// <param name="Value">What follows the scheme.</param>
/// <param name="ApiKey">The value of <c>X-API-Key</c>; null when there is no such header, or it is not looked at.</param>
internal readonly record struct PresentedCredentials(string Scheme, string Value, string? ApiKey)
{
    public const string ApiKeyHeader = "X-API-Key";

    /// <summary>Reads a request's credentials.</summary>
    /// <param name="headers">The request's headers.</param>
    /// <param name="takesApiKeys">Whether <c>X-API-Key</c> is one of them.</param>
    /// <param name="credentials">What there is.</param>
    /// <returns>What is wrong; null when nothing is. Whoever sends two credentials means one of them, and we cannot know which.</returns>
    public static string? TryRead(IHeaderDictionary headers, bool takesApiKeys, out PresentedCredentials credentials)
    {
        credentials = default;
        var authorization = headers.Authorization;
        var apiKey = takesApiKeys ? headers[ApiKeyHeader] : default;
        if (authorization.Count > 1 || apiKey.Count > 1)
        {
            return "a credential's header came more than once";
        }

        var text = authorization.ToString().Trim();
        var space = text.IndexOf(' ', StringComparison.Ordinal);
        credentials = new(space < 0 ? text : text[..space], space < 0 ? "" : text[space..].Trim(), apiKey.Count == 0 ? null : apiKey.ToString().Trim());

        // Some join headers that came twice with a comma. No credential of these kinds has a space in it.
        if (((credentials.Is("Bearer") || credentials.Is("Basic")) && credentials.Value.Contains(' ', StringComparison.Ordinal)) || credentials.ApiKey?.Contains(' ', StringComparison.Ordinal) == true)
        {
            return "there is more than one credential in a header";
        }

        return credentials is { Scheme.Length: > 0, ApiKey: not null } && !(credentials.Is("Bearer") && credentials.Value == credentials.ApiKey)
            ? $"there are two credentials, in Authorization and in {ApiKeyHeader}"
            : null;
    }

    /// <summary>Whether <c>Authorization</c> is of this scheme.</summary>
    public bool Is(string scheme) => string.Equals(Scheme, scheme, StringComparison.OrdinalIgnoreCase);
}
