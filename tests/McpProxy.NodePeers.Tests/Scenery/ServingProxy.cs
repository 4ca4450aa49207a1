namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>A proxy that serves HTTP, and where.</summary>
internal sealed record ServingProxy(Peer Process, string StreamableHttpUrl, string SseUrl)
{
    /// <summary>The address without a path.</summary>
    public string Origin => new Uri(StreamableHttpUrl).GetLeftPart(UriPartial.Authority);

    /// <param name="process">The proxy.</param>
    /// <param name="hasSessions">Whether it serves HTTP+SSE, too, whose streams are sessions.</param>
    public static async Task<ServingProxy> ListeningAsync(Peer process, bool hasSessions) =>
        new(process, Url(await process.ErrorLineAsync("Listening (streamable-http)")), hasSessions ? Url(await process.ErrorLineAsync("Listening (sse)")) : "");

    private static string Url(string line) => line[line.IndexOf("http://", StringComparison.Ordinal)..];
}
