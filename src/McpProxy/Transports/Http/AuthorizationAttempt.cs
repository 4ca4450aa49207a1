namespace McpProxy.Transports.Http;

/// <summary>What was tried to have one request accepted.</summary>
internal sealed class AuthorizationAttempt
{
    /// <summary>Cancelled when nobody is left to sign in for.</summary>
    public CancellationToken Patience { get; init; }

    /// <summary>What the request carried when it was last refused.</summary>
    public IRequestCredential? Used { get; set; }

    /// <summary>How often it was sent again for its credentials.</summary>
    public int Count { get; set; }

    /// <summary>How often it was sent again for a nonce alone.</summary>
    public int Nonces { get; set; }
}
