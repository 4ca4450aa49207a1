using System.Text.Json;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>How a script that plays the client reaches its server: as <c>peers/transports.mjs</c> reads it.</summary>
internal static class Route
{
    /// <summary>The client starts the proxy and talks to it over stdio.</summary>
    public static string ThroughProxy(params IEnumerable<string> arguments) =>
        JsonSerializer.Serialize(new { command = (string[])[ProxyProgram.Path, .. arguments] });

    public static string StreamableHttp(string url) => JsonSerializer.Serialize(new { url });

    public static string Sse(string url) => JsonSerializer.Serialize(new { url, sse = true });
}
