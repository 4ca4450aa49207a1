namespace McpProxy.Auth.Keychain;

/// <summary>The keychain of the operating system.</summary>
internal static class SystemKeychain
{
    /// <summary>What the secrets are filed under, besides their account.</summary>
    public const string Service = "mcp-proxy";

    /// <summary>The keychain of this machine, without a word to it: whether it answers is found out by the first call.</summary>
    public static IKeychain? Find()
    {
        if (OperatingSystem.IsMacOS())
        {
            return new MacKeychain();
        }

        if (OperatingSystem.IsWindows())
        {
            return new WindowsKeychain();
        }

        return OperatingSystem.IsLinux() && LibsecretKeychain.IsLikelyThere() ? new LibsecretKeychain() : null;
    }
}
