using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Access;

/// <summary>
/// What a request's headers carry to show who sends it. A token in a query string is none (OAuth 2.1 section 5.1.1; MCP 2026-07-28,
/// "Token Requirements").
/// </summary>
internal readonly struct PresentedCredentials
{
    public const string ApiKeyHeader = "X-API-Key";

    private readonly string _authorization;
    private readonly int _schemeLength;

    private PresentedCredentials(string authorization, string? apiKey)
    {
        _authorization = authorization;
        _schemeLength = authorization.IndexOf(' ', StringComparison.Ordinal) is >= 0 and var space ? space : authorization.Length;
        ApiKey = apiKey;
    }

    /// <summary>What follows the scheme in <c>Authorization</c>.</summary>
    public ReadOnlySpan<char> Value => _authorization.AsSpan(_schemeLength).Trim();

    /// <summary>The value of <c>X-API-Key</c>; null when there is no such header, or it is not looked at.</summary>
    public string? ApiKey { get; }

    /// <summary>Reads a request's credentials.</summary>
    /// <param name="headers">The request's headers.</param>
    /// <param name="takesApiKeys">Whether <c>X-API-Key</c> is one of them.</param>
    /// <param name="credentials">What there is.</param>
    /// <returns>What is wrong; null when nothing is. Whoever sends two credentials means one of them, and we cannot know which.</returns>
    public static string? TryRead(IHeaderDictionary headers, bool takesApiKeys, out PresentedCredentials credentials)
    {
        var authorization = headers.Authorization;
        var apiKey = takesApiKeys ? headers[ApiKeyHeader] : default;
        credentials = new(authorization.ToString().Trim(), apiKey.Count == 0 ? null : apiKey.ToString().Trim());
        if (authorization.Count > 1 || apiKey.Count > 1)
        {
            return "a credential's header came more than once";
        }

        // Some join headers that came twice with a comma. No credential of these kinds has a space in it.
        if (((credentials.Is("Bearer") || credentials.Is("Basic")) && credentials.Value.Contains(' ')) || credentials.ApiKey?.Contains(' ', StringComparison.Ordinal) == true)
        {
            return "there is more than one credential in a header";
        }

        return credentials is { _authorization.Length: > 0, ApiKey: not null } && !(credentials.Is("Bearer") && credentials.Value.SequenceEqual(credentials.ApiKey))
            ? $"there are two credentials, in Authorization and in {ApiKeyHeader}"
            : null;
    }

    /// <summary>Whether <c>Authorization</c> is of this scheme.</summary>
    public bool Is(string scheme) => _authorization.AsSpan(0, _schemeLength).Equals(scheme, StringComparison.OrdinalIgnoreCase);
}
