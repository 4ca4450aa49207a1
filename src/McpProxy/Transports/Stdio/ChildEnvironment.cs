using System.Collections;

namespace McpProxy.Transports.Stdio;

/// <summary>What of this process's environment a child gets.</summary>
public static class ChildEnvironment
{
    /// <summary>
    /// The variables that every child inherits: who and where it is, how to find programs, how to reach the network.
    /// Names that end in <c>*</c> stand for all that begin so.
    /// </summary>
    public static IReadOnlyList<string> Inherited { get; } = OperatingSystem.IsWindows()
        ?
        [
            "APPDATA", "COMPUTERNAME", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "OS", "PATH", "PATHEXT",
            "PROCESSOR_ARCHITECTURE", "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "SYSTEMDRIVE", "SYSTEMROOT",
            "TEMP", "TMP", "USERDOMAIN", "USERNAME", "USERPROFILE", "WINDIR", .. Network,
        ]
        :
        [
            "HOME", "LANG", "LANGUAGE", "LC_*", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "XDG_*",
            .. Network, "http_proxy", "https_proxy", "no_proxy",
        ];

    /// <summary>What is meant for this process only, such as the keys of its clients; no child gets it.</summary>
    private const string OwnPrefix = "MCP_PROXY_";

    private static string[] Network => ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_DIR", "SSL_CERT_FILE"];

    internal static Dictionary<string, string> For(StdioUpstreamOptions options)
    {
        var comparer = OperatingSystem.IsWindows() ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal;
        var result = new Dictionary<string, string>(comparer);
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
        {
            var name = (string)entry.Key;
            if (options.PassEnvironment ? !name.StartsWith(OwnPrefix, StringComparison.OrdinalIgnoreCase) : Inherited.Any(pattern => Matches(name, pattern, comparer)))
            {
                result[name] = (string?)entry.Value ?? "";
            }
        }

        foreach (var (name, value) in options.Environment)
        {
            result[name] = value;
        }

        return result;
    }

    private static bool Matches(string name, string pattern, StringComparer comparer) => pattern.EndsWith('*')
        ? name.StartsWith(pattern[..^1], StringComparison.Ordinal)
        : comparer.Equals(name, pattern);
}
