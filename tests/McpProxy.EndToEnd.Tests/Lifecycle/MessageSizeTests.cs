using System.Net;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>Messages that are longer than the proxy is told to take: refused one by one, whatever comes after them.</summary>
public sealed class MessageSizeTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData(Transport.Stdio, Transport.Stdio, Era.Legacy)]
    [InlineData(Transport.Stdio, Transport.Sse, Era.Legacy)]
    [InlineData(Transport.Stdio, Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.Sse, Transport.Stdio, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Transport.Stdio, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Transport.Stdio, Era.Modern)]
    [InlineData(Transport.StreamableHttp, Transport.StreamableHttp, Era.Modern)]
    public async Task Answer_that_is_too_long_becomes_an_error(Transport downstream, Transport upstream, Era era)
    {
        IReadOnlyList<string> target = upstream == Transport.Stdio
            ? ["--", .. TestServer.Command(era)]
            : [Own(await TestServer.StartAsync(era)).At(upstream).AbsoluteUri];
        var cell = Own(await RunningCell.StartAsync(downstream, target, TestClient.VersionOf(era), "--max-message-size", "100000"));
        Watch("standard error of the proxy", cell.ProxyErrors);

        await Should.ThrowAsync<McpProtocolException>(() => cell.Client.CallAsync("big", new { size = 200_000 }));

        (await cell.Client.TextAsync("big", new { size = 50_000 })).Length.ShouldBe(50_000);
    }

    [Fact]
    public async Task Request_that_is_too_long_becomes_an_error_on_stdio()
    {
        var proxy = Own(Proxy.Start(["--max-message-size", "100000", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        await proxy.SendAsync(Messages.Initialize(1), Messages.Initialized);
        await proxy.AnswerAsync(1);

        await proxy.SendAsync(Messages.Call(2, "echo", new { text = new string('x', 200_000) }), Messages.Call(3, "echo", new { text = "short" }));

        (await proxy.AnswerAsync(2))["error"].ShouldNotBeNull();
        (await proxy.AnswerAsync(3))["result"].ShouldNotBeNull();
    }

    [Fact]
    public async Task Request_that_is_too_long_is_refused_over_http()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--max-message-size", "100000", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));
        http.SessionId = (await http.PostAsync(Messages.Initialize(1))).Response.Headers.GetValues("Mcp-Session-Id").Single();

        (await http.PostAsync(Messages.Call(2, "echo", new { text = new string('x', 200_000) }), askFirst: true)).Response.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
        (await http.PostAsync(Messages.Call(3, "echo", new { text = "short" }))).Body.ShouldContain("short");
    }
}
