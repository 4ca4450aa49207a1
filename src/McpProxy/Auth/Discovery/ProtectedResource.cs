namespace McpProxy.Auth.Discovery;

/// <summary>What a server says about how it is protected (RFC 9728).</summary>
/// <param name="Resource">The resource identifier exactly as the server wrote it; it goes into the <c>resource</c> parameter.</param>
/// <param name="AuthorizationServers">The issuers whose tokens it takes, in its order.</param>
/// <param name="ScopesSupported">The scopes for basic use; null when it does not say.</param>
/// <param name="RequiresDpop">Whether tokens must be bound to a key.</param>
/// <param name="IsImplied">Whether the server has no metadata, and its own origin is taken to authorize for it (MCP 2025-03-26).</param>
internal sealed record ProtectedResource(string Resource, IReadOnlyList<string> AuthorizationServers, ScopeSet? ScopesSupported, bool RequiresDpop, bool IsImplied);
