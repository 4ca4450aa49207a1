namespace McpProxy.Auth.Store;

/// <summary>What one process at a time may do.</summary>
internal enum StoreLock
{
    /// <summary>Change what is stored, or renew it. Held for a request at most.</summary>
    Change,

    /// <summary>Sign the user in. Held for as long as that takes.</summary>
    SignIn,
}
