namespace McpProxy.Auth.Store;

/// <summary>What is kept for one issuer.</summary>
internal sealed record StoredIssuer
{
    public StoredClient? Client { get; init; }

    public StoredTokens? Tokens { get; init; }

    /// <summary>The <c>resource</c> that the tokens are for.</summary>
    public string? Resource { get; init; }

    /// <summary>The private key that the tokens are bound to (PKCS #8, base64); null when they are not bound.</summary>
    public string? DpopKey { get; init; }
}
