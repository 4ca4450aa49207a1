namespace McpProxy.Auth.Keychain;

/// <summary>
/// Where the operating system keeps small secrets for a person. Each member throws <see cref="KeychainException"/> when
/// the keychain is not there, does not answer, or stays locked.
/// </summary>
internal interface IKeychain
{
    /// <summary>What a person knows it by.</summary>
    string Name { get; }

    /// <summary>The secret; null only where there is none.</summary>
    byte[]? Read(string account);

    /// <summary>Keeps a secret, in place of one that is already there.</summary>
    void Write(string account, ReadOnlySpan<byte> secret);

    /// <summary>Forgets a secret; it need not be there.</summary>
    void Delete(string account);
}
