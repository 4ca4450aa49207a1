using System.Reflection;
using System.Runtime.InteropServices;

namespace McpProxy.EndToEnd.Tests.Programs;

/// <summary>Where the programs are, and what they need to start.</summary>
internal static class Dotnet
{
    /// <summary>The runtime of this process, so that the programs find it where it is not installed for the whole machine.</summary>
    public static string Root { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));

    /// <summary>Variables for every program that is started here.</summary>
    public static IReadOnlyDictionary<string, string?> Environment { get; } = new Dictionary<string, string?>(StringComparer.Ordinal)
    {
        ["DOTNET_ROOT"] = Root,

        // What the developer has set for a proxy of their own must not decide a test.
        ["SSE_URL"] = null,
        ["API_ACCESS_TOKEN"] = null,
        ["MCP_PROXY_API_KEY"] = null,
        ["HTTP_PROXY"] = null,
        ["http_proxy"] = null,
    };

    /// <summary>The executable of a project that was built along with the tests.</summary>
    public static string Program(string name)
    {
        var path = typeof(Dotnet).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == $"Program:{name}").Value;
        return OperatingSystem.IsWindows() ? $"{path}.exe" : path!;
    }
}
