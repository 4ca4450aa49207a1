using System.Net;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Sessions;

/// <summary>Signals to a proxy that serves HTTP.</summary>
public sealed class DrainTests(ITestOutputHelper output) : ServingTest(output)
{
    public override ValueTask InitializeAsync()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs signals");
        return ValueTask.CompletedTask;
    }

    [Theory]
    [InlineData(Transport.StreamableHttp, Era.Legacy, "per-session")]
    [InlineData(Transport.StreamableHttp, Era.Legacy, "shared")]
    [InlineData(Transport.Sse, Era.Legacy, "per-session")]
    [InlineData(Transport.StreamableHttp, Era.Modern, "per-session")]
    public async Task The_call_in_flight_is_answered_before_anything_ends(Transport transport, Era era, string child)
    {
        await using var gate = new Gate();
        var proxy = Serve(era, "--child", child);
        var client = await ConnectAsync(proxy, transport, TestClient.VersionOf(era)!);
        var server = await ServerOfAsync(client);
        var call = client.CallAsync("ask_port", new { port = gate.Port });
        await gate.CallArrivedAsync();
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));

        proxy.Terminate();

        await RefusedAsync(http);
        await gate.AnswerAsync("in time");
        (await call).Content.OfType<TextContentBlock>().Single().Text.ShouldBe("in time");
        (await proxy.ExitAsync()).ShouldBe(0);
        await PosixSignals.GoneAsync(server, "the child");
    }

    [Fact]
    public async Task A_second_signal_waits_for_nothing()
    {
        await using var gate = new Gate();
        var proxy = Serve("--drain-timeout", "600");
        var client = await ConnectAsync(proxy);
        var call = client.CallAsync("ask_port", new { port = gate.Port });
        await gate.CallArrivedAsync();
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));
        proxy.Terminate();
        await RefusedAsync(http);

        proxy.Terminate();

        await Should.ThrowAsync<McpProtocolException>(call);
        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_subscription_ends_with_its_closing_result_and_does_not_delay_the_end()
    {
        var proxy = Serve(Era.Modern, "--drain-timeout", "600");
        var client = await ConnectAsync(proxy, version: "2026-07-28");
        var listening = client.ListenAsync("listen", "test://watched");
        await client.NotificationAsync(NotificationMethods.SubscriptionsAcknowledgedNotification, _ => true);

        proxy.Terminate();

        (await listening.Within("the closing result")).Result!["resultType"]!.GetValue<string>().ShouldBe("complete");
        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_hang_up_changes_nothing()
    {
        var proxy = Serve();
        var client = await ConnectAsync(proxy);
        var server = await ServerOfAsync(client);

        PosixSignals.Send(proxy.Id, signal: 1);

        (await ServerOfAsync(client)).ShouldBe(server);
        (await (await ConnectAsync(proxy)).TextAsync("echo", new { text = "x" })).ShouldBe("x");
    }

    /// <summary>Waits until the signal has arrived, for which there is no event but that new sessions are refused.</summary>
    private static async Task RefusedAsync(RawHttp http)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        await PollAsync().Within("the refusal of new sessions");

        async Task PollAsync()
        {
            while (true)
            {
                var (response, body) = await http.PostAsync(Messages.Call(1, "echo"));
                if (response.StatusCode == HttpStatusCode.ServiceUnavailable)
                {
                    response.Headers.RetryAfter.ShouldNotBeNull();
                    body.ShouldContain("shutting down");
                    return;
                }

                await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
            }
        }
    }
}
