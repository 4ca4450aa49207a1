namespace McpProxy.Auth;

/// <summary>The organisation's identity provider, which grants access to servers (MCP extension "Enterprise-Managed Authorization").</summary>
public sealed class IdentityProviderOptions
{
    /// <summary>Its issuer identifier, by which its token endpoint is found; null when <see cref="TokenEndpoint"/> is given.</summary>
    public string? Issuer { get; init; }

    /// <summary>Its token endpoint; null to find it by <see cref="Issuer"/>.</summary>
    public Uri? TokenEndpoint { get; init; }

    /// <summary>The client's id at the identity provider.</summary>
    public required string ClientId { get; init; }

    /// <summary>The client's secret there; null for a public client.</summary>
    public string? ClientSecret { get; init; }

    /// <summary>The file with the user's ID token; read again for each request.</summary>
    public required string IdTokenFile { get; init; }
}
