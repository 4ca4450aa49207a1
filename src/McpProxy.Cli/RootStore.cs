using System.Runtime.InteropServices;

namespace McpProxy.Cli;

/// <summary>
/// Keeps the runtime from reading every certificate authority of a Linux system before its first TLS connection, which takes ten
/// times as long as the connection: they are looked up by name instead (<c>SystemRoots</c>), and the runtime trusts none by itself.
/// </summary>
internal static partial class RootStore
{
    /// <summary>Where no file and no directory is.</summary>
    private const string Nowhere = "/dev/null/none";

    /// <summary>Must come before anything reads the environment on another thread.</summary>
    public static void LeaveUnread()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        // From here on .NET, and so every child, has its own copy, in which these two are what the user has set.
        _ = Environment.GetEnvironmentVariables();
        _ = SetVariable("SSL_CERT_FILE", Nowhere, 1);
        _ = SetVariable("SSL_CERT_DIR", Nowhere, 1);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
