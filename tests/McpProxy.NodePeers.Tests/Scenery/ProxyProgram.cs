using System.Reflection;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>The program under test, and what this build knows of the repository.</summary>
internal static class ProxyProgram
{
    /// <summary>The program that <c>MCP_PROXY_BINARY</c> names, such as a native one; else the one built along with the tests.</summary>
    public static string Path { get; } = Environment.GetEnvironmentVariable("MCP_PROXY_BINARY") is { Length: > 0 } given
        ? System.IO.Path.GetFullPath(given)
        : System.IO.Path.ChangeExtension(Metadata("ProxyAssembly"), OperatingSystem.IsWindows() ? ".exe" : null);

    public static string PeersDirectory { get; } = Metadata("PeersDirectory");

    private static string Metadata(string key) =>
        typeof(ProxyProgram).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(attribute => attribute.Key == key).Value!;
}
