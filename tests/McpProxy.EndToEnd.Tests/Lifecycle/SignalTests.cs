using System.Globalization;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>The proxy is asked to end.</summary>
public sealed class SignalTests(ITestOutputHelper output) : EndToEndTest(output)
{
    /// <summary>A server that ignores the end of its input and every polite signal, as does the process that it leaves behind.</summary>
    private const string Stubborn = """
        trap '' TERM INT HUP
        sh -c 'trap "" TERM INT HUP; while :; do sleep 1000; done' &
        echo "stubborn $$ $!" >&2
        while :; do sleep 1000; done
        """;

    public override ValueTask InitializeAsync()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs signals");
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData(PosixSignals.Terminate)]
    [InlineData(PosixSignals.Interrupt)]
    public async Task Stubborn_children_are_gone_after_a_stdio_session(int signal)
    {
        var proxy = Own(Proxy.Start(["--", "sh", "-c", Stubborn]));
        var processes = await StubbornProcessesAsync(proxy);

        PosixSignals.Send(proxy.Id, signal);

        (await proxy.ExitAsync()).ShouldBe(0);
        await GoneAsync(processes);
    }

    [Fact]
    public async Task Stubborn_children_are_gone_after_the_end_of_input()
    {
        var proxy = Own(Proxy.Start(["--", "sh", "-c", Stubborn]));
        var processes = await StubbornProcessesAsync(proxy);

        proxy.Input.Close();

        (await proxy.ExitAsync()).ShouldBe(0);
        await GoneAsync(processes);
    }

    [Fact]
    public async Task Stubborn_children_are_gone_after_an_http_session()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--", "sh", "-c", Stubborn]));
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));
        var unanswered = http.PostAsync(Messages.Initialize(1));
        var processes = await StubbornProcessesAsync(proxy);

        proxy.Terminate();

        (await proxy.ExitAsync()).ShouldBe(0);
        await GoneAsync(processes);
        await unanswered.Within("the end of the request in flight");
    }

    [Theory]
    [InlineData(Transport.Stdio)]
    [InlineData(Transport.Sse)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Call_in_flight_of_a_stdio_client_gets_an_error(Transport upstream)
    {
        await using var gate = new Gate();
        string[] target = upstream == Transport.Stdio
            ? [.. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]
            : [Own(await TestServer.StartAsync(Era.Legacy)).At(upstream).AbsoluteUri];
        var proxy = Own(Proxy.Start(target));
        await proxy.SendAsync(Messages.Initialize(1));
        await proxy.AnswerAsync(1);
        await proxy.SendAsync(Messages.Initialized, Messages.Call(2, "ask_port", new { port = gate.Port }));
        await gate.CallArrivedAsync();

        proxy.Terminate();

        (await proxy.AnswerAsync(2))["error"].ShouldNotBeNull();
        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Theory]
    [InlineData(Transport.Sse, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Era.Modern)]
    public async Task Call_in_flight_of_an_http_client_gets_an_error(Transport downstream, Era era)
    {
        await using var gate = new Gate();
        var proxy = Own(Proxy.Start(["--port", "0", .. Proxy.ChildOptions, "--", .. TestServer.Command(era)]));
        var client = Own(await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(downstream), downstream), TestClient.VersionOf(era)));
        var child = int.Parse(await client.TextAsync("process_id"), CultureInfo.InvariantCulture);
        var call = client.CallAsync("ask_port", new { port = gate.Port });
        await gate.CallArrivedAsync();

        proxy.Terminate();

        await Should.ThrowAsync<McpProtocolException>(call);
        (await proxy.ExitAsync()).ShouldBe(0);
        await PosixSignals.GoneAsync(child, "the child");
    }

    private static async Task<int[]> StubbornProcessesAsync(Proxy proxy)
    {
        var line = await proxy.Errors.FirstAsync("the child's word that it runs", line => line.Contains("stubborn ", StringComparison.Ordinal));
        int[] processes = [.. line[line.IndexOf("stubborn ", StringComparison.Ordinal)..].Split(' ').Skip(1).Select(word => int.Parse(word, CultureInfo.InvariantCulture))];
        processes.ShouldAllBe(process => PosixSignals.IsAlive(process));
        return processes;
    }

    private static async Task GoneAsync(int[] processes)
    {
        await PosixSignals.GoneAsync(processes[0], "the child");
        await PosixSignals.GoneAsync(processes[1], "the grandchild");
    }
}
