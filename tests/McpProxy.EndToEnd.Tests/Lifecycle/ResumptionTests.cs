using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>Streams that break before the answer came, and are taken up again (MCP 2025-11-25, "Resumability and Redelivery").</summary>
public sealed class ResumptionTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData(Transport.Stdio)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Client_that_comes_back_gets_its_answer(Transport upstream)
    {
        await using var gate = new Gate();
        string[] target = upstream == Transport.Stdio
            ? [.. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]
            : [Own(await TestServer.StartAsync(Era.Legacy)).At(upstream).AbsoluteUri];
        var proxy = Own(Proxy.Start(["--debug", "--port", "0", .. target]));
        using var cutter = new CuttingHandler();
        var client = Own(await TestClient.ConnectAsync(
            TestClient.Http(await proxy.ListeningAsync(Transport.StreamableHttp), Transport.StreamableHttp, cutter), "2025-11-25"));
        cutter.CutNext();

        // The progress makes an event stream of the response, so that there is something to break.
        var call = client.CallAsync("ask_port", new { port = gate.Port }, new() { ["progressToken"] = "p" });
        await gate.CallArrivedAsync();
        await cutter.CutAsync;
        await gate.AnswerAsync("not lost");

        (await call).Content.OfType<TextContentBlock>().Single().Text.ShouldBe("not lost");
        client.Notifications(NotificationMethods.ProgressNotification).Count().ShouldBe(1);
    }

    [Theory]
    [InlineData(Transport.Stdio)]
    [InlineData(Transport.Sse)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Server_that_hangs_up_is_asked_again(Transport downstream)
    {
        var server = Own(await TestServer.StartAsync(Era.Legacy, resumable: true));
        var cell = Own(await RunningCell.StartAsync(downstream, [server.At(Transport.StreamableHttp).AbsoluteUri], "2025-11-25"));
        Watch("standard error of the proxy", cell.ProxyErrors);

        (await cell.Client.TextAsync("hang_up")).ShouldBe("worth coming back for");
        (await cell.Client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }
}
