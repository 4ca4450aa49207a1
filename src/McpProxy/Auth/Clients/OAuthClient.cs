namespace McpProxy.Auth.Clients;

/// <summary>Who the proxy is to an authorization server.</summary>
public sealed record OAuthClient(string Id)
{
    /// <summary>Its secret; null for a public client.</summary>
    public string? Secret { get; init; }

    /// <summary>How it authenticates at the token endpoint (<c>none</c>, <c>client_secret_basic</c>, <c>client_secret_post</c>, <c>private_key_jwt</c>); null to choose by what the server supports.</summary>
    public string? AuthMethod { get; init; }

    /// <summary>Where the browser may come back to, as registered.</summary>
    public IReadOnlyList<string> RedirectUris { get; init; } = [];

    /// <summary>The issuer it is registered with; null when it is not known yet. It is never used with another.</summary>
    public string? Issuer { get; init; }

    /// <summary>When the secret ends; null when it does not.</summary>
    public DateTimeOffset? SecretExpiresAt { get; init; }

    /// <summary>Whether the proxy registered it itself, so that it may register another.</summary>
    public bool IsRegistered { get; init; }

    /// <summary>Shows the id alone: a record would print the secret.</summary>
    public override string ToString() => Id;
}
