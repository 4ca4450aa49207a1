using McpProxy.NodePeers.Tests.Scenery;

namespace McpProxy.NodePeers.Tests;

/// <summary>What lies between a client and a stdio server of the legacy era.</summary>
public enum LegacyWay
{
    /// <summary>One proxy, which the client has started.</summary>
    Stdio,

    /// <summary>A serving proxy, and one that turns HTTP+SSE back into stdio.</summary>
    StdioOverSse,

    /// <summary>A serving proxy, and one that turns Streamable HTTP back into stdio.</summary>
    StdioOverStreamableHttp,

    /// <summary>A serving proxy.</summary>
    StreamableHttp,

    /// <summary>A serving proxy.</summary>
    Sse,
}

/// <summary>Sets up what lies between.</summary>
internal static class LegacyWays
{
    /// <summary>Starts what the client does not start itself.</summary>
    /// <param name="way">The way.</param>
    /// <param name="scene">Where it is started.</param>
    /// <param name="server">The server's command line.</param>
    /// <returns>The route for the client.</returns>
    public static async Task<string> OpenAsync(this LegacyWay way, Scene scene, params IEnumerable<string> server) =>
        way == LegacyWay.Stdio ? Route.ThroughProxy(["--", .. server]) : way.RouteTo(await scene.ServeAsync(["--", .. server]));

    /// <summary>The route to a serving proxy.</summary>
    public static string RouteTo(this LegacyWay way, ServingProxy proxy) => way switch
    {
        LegacyWay.StdioOverSse => Route.ThroughProxy(proxy.SseUrl),
        LegacyWay.StdioOverStreamableHttp => Route.ThroughProxy(proxy.StreamableHttpUrl),
        LegacyWay.StreamableHttp => Route.StreamableHttp(proxy.StreamableHttpUrl),
        LegacyWay.Sse => Route.Sse(proxy.SseUrl),
        _ => throw new ArgumentOutOfRangeException(nameof(way), way, "nothing serves there"),
    };
}
