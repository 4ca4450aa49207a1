using System.Globalization;
using System.Net;
using System.Net.Sockets;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>The server dies, or was never there: the client gets an error, never silence.</summary>
public sealed class UpstreamDeathTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Fact]
    public async Task Child_that_exits_during_a_call_is_reported_with_its_code()
    {
        var proxy = Own(Proxy.Start([.. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        await proxy.SendAsync(Messages.Initialize(1), Messages.Initialized, Messages.Call(2, "exit", new { code = 7 }));

        var message = (await proxy.AnswerAsync(2))["error"]!["message"]!.GetValue<string>();

        message.ShouldContain("code 7");
        message.ShouldContain("leaving with 7", customMessage: "the last words of the child are the best hint");
        (await proxy.ExitAsync()).ShouldBe(7);
    }

    [Fact]
    public async Task Child_that_closes_its_output_before_it_exits_is_reported_with_its_code()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a POSIX shell");
        var proxy = Own(Proxy.Start(["--", "sh", "-c", "exec >&-; while read -r line; do :; done; exit 3"]));

        (await proxy.ExitAsync()).ShouldBe(3);
    }

    [Fact]
    public async Task Child_that_is_killed_during_a_call_is_reported_with_the_signal()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs signals");
        await using var gate = new Gate();
        var proxy = Own(Proxy.Start([.. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        await proxy.SendAsync(Messages.Initialize(1), Messages.Initialized, Messages.Call(2, "process_id"));
        var child = int.Parse((await proxy.AnswerAsync(2))["result"]!["content"]![0]!["text"]!.GetValue<string>(), CultureInfo.InvariantCulture);
        await proxy.SendAsync(Messages.Call(3, "ask_port", new { port = gate.Port }));
        await gate.CallArrivedAsync();

        PosixSignals.Send(child, PosixSignals.Kill);

        (await proxy.AnswerAsync(3))["error"]!["message"]!.GetValue<string>().ShouldContain("signal 9");
        (await proxy.ExitAsync()).ShouldBe(128 + PosixSignals.Kill);
    }

    [Theory]
    [InlineData(Transport.Sse)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Child_that_dies_ends_its_session_and_no_other(Transport downstream)
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        var url = await proxy.ListeningAsync(downstream);
        var bystander = Own(await TestClient.ConnectAsync(TestClient.Http(url, downstream), "2025-11-25"));
        var victim = Own(await TestClient.ConnectAsync(TestClient.Http(url, downstream), "2025-11-25"));

        var error = await Should.ThrowAsync<McpProtocolException>(() => victim.CallAsync("exit", new { code = 7 }));

        error.Message.ShouldContain("code 7");
        (await bystander.TextAsync("echo", new { text = "here" })).ShouldBe("here");
        var successor = Own(await TestClient.ConnectAsync(TestClient.Http(url, downstream), "2025-11-25"));
        (await successor.TextAsync("echo", new { text = "here too" })).ShouldBe("here too");
    }

    [Fact]
    public async Task Child_that_modern_clients_share_is_started_again_after_it_died()
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Modern)]));
        var client = Own(await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(Transport.StreamableHttp), Transport.StreamableHttp), "2026-07-28"));

        var error = await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("exit", new { code = 7 }));

        error.Message.ShouldContain("code 7");
        (await client.TextAsync("echo", new { text = "again" })).ShouldBe("again");
    }

    [Fact]
    public async Task Listener_hears_of_the_death_of_a_shared_child()
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Modern)]));
        var client = Own(await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(Transport.StreamableHttp), Transport.StreamableHttp), "2026-07-28"));
        var listening = client.ListenAsync("listen", "test://watched");
        await client.NotificationAsync(NotificationMethods.SubscriptionsAcknowledgedNotification, _ => true);

        await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("exit", new { code = 7 }));

        // An error or an orderly end: either tells the client to listen again, silence would not.
        await Task.WhenAny(listening).Within("the end of the listen request");
        _ = client.ListenAsync("listen again", "test://watched");
        await client.NotificationAsync(NotificationMethods.SubscriptionsAcknowledgedNotification, parameters => TestClient.SubscriptionOf(parameters) == "listen again");
    }

    [Theory]
    [InlineData(Transport.Stdio, Transport.Sse, Era.Legacy)]
    [InlineData(Transport.Stdio, Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.Stdio, Transport.StreamableHttp, Era.Modern)]
    [InlineData(Transport.Sse, Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Transport.Sse, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Transport.StreamableHttp, Era.Modern)]
    public async Task Http_server_that_comes_back_is_used_again(Transport downstream, Transport upstream, Era era)
    {
        await using var gate = new Gate();
        var server = Own(await TestServer.StartAsync(era));
        var cell = Own(await RunningCell.StartAsync(downstream, [server.At(upstream).AbsoluteUri], TestClient.VersionOf(era)));
        Watch("standard error of the proxy", cell.ProxyErrors);
        var call = cell.Client.CallAsync("ask_port", new { port = gate.Port });
        await gate.CallArrivedAsync();

        server.Kill();

        await Should.ThrowAsync<McpProtocolException>(call);
        await server.ExitAsync();
        Own(await TestServer.StartAsync(era, server.Url.Port));

        // The new server has never heard of the session: opening it again is the proxy's business, and the client's call is not lost.
        (await cell.Client.TextAsync("echo", new { text = "again" })).ShouldBe("again");
        (await cell.Client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Theory]
    [InlineData("/mcp")]
    [InlineData("/sse")]
    public async Task Server_that_is_not_there_is_reported(string path)
    {
        var proxy = Own(Proxy.Start(["--connect-timeout", "1", $"http://127.0.0.1:{UnusedPort()}{path}"]));

        await proxy.SendAsync(Messages.Initialize(1));

        (await proxy.AnswerAsync(1))["error"]!["message"]!.GetValue<string>().ShouldContain("127.0.0.1");
        (await proxy.ExitAsync()).ShouldBe(1);
        proxy.Errors.Lines.ShouldContain(line => line.Contains("error:", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Server_that_comes_within_the_connect_timeout_is_waited_for()
    {
        var port = UnusedPort();
        var proxy = Own(Proxy.Start(["--debug", $"http://127.0.0.1:{port}/mcp"]));
        await proxy.SendAsync(Messages.Initialize(1));
        await proxy.Errors.FirstAsync("a first attempt to connect", line => line.Contains("Trying again", StringComparison.Ordinal));

        Own(await TestServer.StartAsync(Era.Legacy, port));

        (await proxy.AnswerAsync(1))["result"].ShouldNotBeNull();
    }

    [Fact]
    public async Task Command_that_does_not_exist_is_reported()
    {
        var proxy = Own(Proxy.Start(["--", "no-such-command-anywhere", "--flag"]));

        await proxy.SendAsync(Messages.Initialize(1));

        (await proxy.ExitAsync()).ShouldBe(1);
        proxy.Errors.ToString().ShouldContain("no-such-command-anywhere");
        proxy.Output.Lines.ShouldAllBe(line => line.Contains("\"error\"", StringComparison.Ordinal), "what was asked gets an error");
    }

    [Fact]
    public async Task Command_that_does_not_exist_is_reported_to_http_clients()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--", "no-such-command-anywhere"]));
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);

        var error = await Should.ThrowAsync<Exception>(() => TestClient.ConnectAsync(TestClient.Http(url, Transport.StreamableHttp), "2025-11-25"));

        error.ToString().ShouldContain("no-such-command-anywhere");
    }

    private static int UnusedPort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
