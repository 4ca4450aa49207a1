namespace McpProxy.Auth.Store;

/// <summary>Keeps sign-ins. What cannot be read counts as not there, with a warning.</summary>
internal interface ITokenStore
{
    /// <summary>Reads what is stored for a key.</summary>
    StoredSignIn Read(StoreKey key);

    /// <summary>Replaces what is stored for a key, all or nothing. Under <see cref="StoreLock.Change"/>.</summary>
    /// <param name="key">The key.</param>
    /// <param name="signIn">What to store.</param>
    /// <param name="isProvisional">Whether nobody has signed in yet, so that nobody must be asked to open a keychain for it.</param>
    void Write(StoreKey key, StoredSignIn signIn, bool isProvisional = false);

    /// <summary>Reads the sign-in that is under way; null when there is none.</summary>
    StoredFlow? ReadFlow(StoreKey key);

    /// <summary>Replaces it, or ends it with null. Under <see cref="StoreLock.SignIn"/>.</summary>
    void WriteFlow(StoreKey key, StoredFlow? flow);

    /// <summary>Takes a lock if nobody has it; it ends with its process, or when disposed.</summary>
    IDisposable? TryLock(StoreKey key, StoreLock kind);
}
