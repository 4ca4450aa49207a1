using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>The client closes the proxy's standard input.</summary>
public sealed class EndOfInputTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData(Transport.Stdio)]
    [InlineData(Transport.Sse)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Request_in_flight_is_answered_first(Transport upstream)
    {
        await using var gate = new Gate();
        var proxy = Own(Proxy.Start(["--debug", .. await TargetAsync(upstream)]));
        await CallAsync(proxy, gate);

        proxy.Input.Close();
        await EndNoticedAsync(proxy);
        await gate.AnswerAsync("late, but there");

        (await proxy.AnswerAsync(2))["result"]!["content"]![0]!["text"]!.GetValue<string>().ShouldBe("late, but there");
        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Theory]
    [InlineData(Transport.Stdio)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Request_that_takes_too_long_gets_an_error(Transport upstream)
    {
        await using var gate = new Gate();
        var proxy = Own(Proxy.Start(["--debug", "--drain-timeout", "0.2", .. await TargetAsync(upstream)]));
        await CallAsync(proxy, gate);

        proxy.Input.Close();

        (await proxy.AnswerAsync(2))["error"]!["message"]!.GetValue<string>().ShouldNotBeEmpty();
        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task Child_ends_as_well()
    {
        var proxy = Own(Proxy.Start([.. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        await proxy.SendAsync(Messages.Initialize(1), Messages.Initialized, Messages.Call(2, "process_id"));
        var child = int.Parse((await proxy.AnswerAsync(2))["result"]!["content"]![0]!["text"]!.GetValue<string>(), System.Globalization.CultureInfo.InvariantCulture);

        proxy.Input.Close();

        (await proxy.ExitAsync()).ShouldBe(0);
        await PosixSignals.GoneAsync(child, "the child");
    }

    [Fact]
    public async Task Nothing_was_asked()
    {
        var proxy = Own(Proxy.Start(["http://127.0.0.1:9/never-contacted"]));

        proxy.Input.Close();

        (await proxy.ExitAsync()).ShouldBe(0);
        proxy.Output.Lines.ShouldBeEmpty();
    }

    private static async Task CallAsync(Proxy proxy, Gate gate)
    {
        await proxy.SendAsync(Messages.Initialize(1));
        await proxy.AnswerAsync(1);
        await proxy.SendAsync(Messages.Initialized, Messages.Call(2, "ask_port", new { port = gate.Port }));
        await gate.CallArrivedAsync();
    }

    /// <summary>Nothing else that can be seen from outside tells that the proxy has read the end of its input.</summary>
    private static Task<string> EndNoticedAsync(Proxy proxy) =>
        proxy.Errors.FirstAsync("the proxy's word that its input ended", line => line.Contains("client's side ended", StringComparison.Ordinal));

    private async Task<string[]> TargetAsync(Transport upstream) => upstream == Transport.Stdio
        ? [.. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]
        : [Own(await TestServer.StartAsync(Era.Legacy)).At(upstream).AbsoluteUri];
}
