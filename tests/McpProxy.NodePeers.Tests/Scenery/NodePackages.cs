using System.Text.Json;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>Node and the npm packages, which the conformance suite has installed.</summary>
internal static class NodePackages
{
    private static readonly string s_suite = Path.GetFullPath(Path.Combine(ProxyProgram.PeersDirectory, "..", "..", "conformance"));
    private static readonly string? s_node = Requirement.FindProgram("node");

    public static string Node => s_node!;

    /// <summary>The command line of our own server of the legacy era, over stdio.</summary>
    public static string[] LegacyServer => [Node, Script("server-v1.mjs")];

    /// <summary>The command line of our own server of the modern era, over stdio.</summary>
    public static string[] ModernServer => [Node, Script("server-v2.mjs")];

    /// <summary>Skips the test where there is no Node or no packages.</summary>
    public static void Need()
    {
        Requirement.Need(s_node is not null, "Node is not on the path: install Node 20.11 or newer");
        Requirement.Need(
            File.Exists(Path.Combine(s_suite, "node_modules", ".package-lock.json")), $"the npm packages are missing: run `npm ci` in {s_suite}");
    }

    /// <summary>One of the scripts that play a peer.</summary>
    public static string Script(string name) => Path.Combine(ProxyProgram.PeersDirectory, name);

    /// <summary>The program of a package that has one.</summary>
    public static string Program(string package)
    {
        var directory = Path.Combine(s_suite, "node_modules", package);
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(directory, "package.json")));
        return Path.Combine(directory, manifest.RootElement.GetProperty("bin").EnumerateObject().First().Value.GetString()!);
    }
}
