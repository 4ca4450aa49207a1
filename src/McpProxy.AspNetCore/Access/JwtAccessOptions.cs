namespace McpProxy.AspNetCore.Access;

/// <summary>Which access tokens let a client in (RFC 9068; MCP 2026-07-28, "Access Token Usage").</summary>
public sealed class JwtAccessOptions
{
    /// <summary>The authorization servers, by their issuer identifiers, exactly as their metadata and tokens name them.</summary>
    public required IReadOnlyList<string> Issuers { get; init; }

    /// <summary>Who a token may be meant for; one of them must be in <c>aud</c>.</summary>
    public required IReadOnlyList<string> Audiences { get; init; }

    /// <summary>Scopes that a token must have, all of them. Default: none.</summary>
    public IReadOnlyList<string> RequiredScopes { get; init; } = [];

    /// <summary>How far the clocks of an authorization server and of this machine may be apart. Default: 60 s.</summary>
    public TimeSpan ClockSkew { get; init; } = TimeSpan.FromSeconds(60);
}
