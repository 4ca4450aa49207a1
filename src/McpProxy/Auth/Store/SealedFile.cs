namespace McpProxy.Auth.Store;

/// <summary>A file whose content is sealed.</summary>
internal sealed record SealedFile
{
    /// <summary>Nonce, ciphertext and tag of AES-256-GCM.</summary>
    public string Sealed { get; init; } = "";
}
