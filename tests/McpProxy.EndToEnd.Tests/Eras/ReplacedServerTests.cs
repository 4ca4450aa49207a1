using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>A server behind a URL that is deployed anew, and speaks the other era since.</summary>
public sealed class ReplacedServerTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData(Transport.Stdio, Era.Legacy, Era.Legacy)]
    [InlineData(Transport.Stdio, Era.Legacy, Era.Modern)]
    [InlineData(Transport.Stdio, Era.Modern, Era.Legacy)]
    [InlineData(Transport.Stdio, Era.Modern, Era.Modern)]
    [InlineData(Transport.StreamableHttp, Era.Legacy, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Era.Legacy, Era.Modern)]
    [InlineData(Transport.StreamableHttp, Era.Modern, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Era.Modern, Era.Modern)]
    public async Task Client_that_stays_goes_on(Transport downstream, Era clientEra, Era before)
    {
        var (url, client) = await ReplaceAsync(downstream, clientEra, before);
        Own(await TestServer.StartAsync(before == Era.Legacy ? Era.Modern : Era.Legacy, url.Port));

        try
        {
            // The one that finds out may fail, and is not made again.
            await client.TextAsync("echo", new { text = "first" });
        }
        catch (Exception e) when (e is McpException or HttpRequestException)
        {
            TestContext.Current.TestOutputHelper!.WriteLine($"found out: {e.Message}");
        }

        (await client.TextAsync("echo", new { text = "second" })).ShouldBe("second");
        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    /// <summary>A client of a server that is gone.</summary>
    private async Task<(Uri Url, TestClient Client)> ReplaceAsync(Transport downstream, Era clientEra, Era before)
    {
        await using var server = await TestServer.StartAsync(before);
        var cell = Own(await RunningCell.StartAsync(downstream, [server.At(Transport.StreamableHttp).AbsoluteUri], TestClient.VersionOf(clientEra)));
        Watch("standard error of the proxy", cell.ProxyErrors);
        (await cell.Client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
        return (server.Url, cell.Client);
    }
}
