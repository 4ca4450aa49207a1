namespace McpProxy.Auth.Store;

/// <summary>Where tokens are kept.</summary>
public enum TokenStoreKind
{
    /// <summary>As <see cref="Keychain"/> where the operating system has one that answers, else as <see cref="File"/>.</summary>
    Automatic,

    /// <summary>In files that only the user can read.</summary>
    File,

    /// <summary>In such files, sealed by a key that is in the operating system's keychain.</summary>
    Keychain,

    /// <summary>In memory: they end with the process.</summary>
    Memory,
}
