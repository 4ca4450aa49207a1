namespace McpProxy.SideBySide;

/// <summary>The programs that are compared.</summary>
internal static class Peers
{
    private static readonly string[] s_server = ["{server}", "stdio"];

    /// <summary>All of them; those from npm only where they are installed.</summary>
    public static IReadOnlyList<Peer> All(HarnessOptions options, bool hasSharedChild)
    {
        var modules = Path.Combine(options.Root, "bench", "peers", "node_modules");
        var authority = options.CertificateAuthority;
        List<Peer> peers =
        [
            new(Peer.Native, "mcp-proxy", [options.Proxy, "{url}"], [options.Proxy, "--port", "{port}", "--", .. s_server])
            {
                Secure = [options.Proxy, "--ca-file", authority, "{tlsurl}"],
                ManySessions = hasSharedChild ? [options.Proxy, "--port", "{port}", "--max-sessions", "4000", "--child", "shared", "--", .. s_server]
                    : [options.Proxy, "--port", "{port}", "--max-sessions", "4000", "--", .. s_server],
            },
            new(Peer.Floor, "C floor", [options.Program("floor"), "connect", "{echoport}"], [options.Program("floor"), "serve", "{port}", "--", .. s_server]),
            new(Peer.Direct, "direct", [], s_server),
        ];
        if (!Directory.Exists(modules))
        {
            return peers;
        }

        string Script(params string[] path) => Path.Combine([modules, .. path]);
        peers.Add(new("mcp-remote", "mcp-remote 0.15.1", ["node", Script("mcp-remote", "dist", "proxy.js"), "{url}"], null)
        {
            Secure = ["node", Script("mcp-remote", "dist", "proxy.js"), "{tlsurl}"],
            Environment = [$"NODE_EXTRA_CA_CERTS={authority}"],
        });
        var supergateway = Script("supergateway", "dist", "index.js");
        peers.Add(new(
            "supergateway",
            "supergateway 4.0.0",
            ["node", supergateway, "--streamableHttp", "{url}", "--logLevel", "none"],
            ["node", supergateway, "--stdio", "{server} stdio", "--outputTransport", "streamableHttp", "--stateful", "--port", "{port}", "--logLevel", "none"]));
        peers.Add(new(
            "mcp-proxy-npm",
            "mcp-proxy 6.7.19 (npm)",
            null,
            ["node", Script("mcp-proxy", "dist", "bin", "mcp-proxy.mjs"), "--host", "127.0.0.1", "--port", "{port}", "--server", "stream", "--", .. s_server]));
        return peers;
    }
}
