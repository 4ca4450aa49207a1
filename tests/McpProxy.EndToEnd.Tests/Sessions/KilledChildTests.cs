using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Sessions;

/// <summary><c>kill -9</c> of a child whose session is served over HTTP: the session stays, and gets another child.</summary>
public sealed class KilledChildTests(ITestOutputHelper output) : ServingTest(output)
{
    public static TheoryData<Transport, string> Ways => new()
    {
        { Transport.StreamableHttp, "per-session" },
        { Transport.StreamableHttp, "shared" },
        { Transport.Sse, "per-session" },
        { Transport.Sse, "shared" },
    };

    public override ValueTask InitializeAsync()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs signals");
        return ValueTask.CompletedTask;
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task While_idle_it_is_not_even_noticed(Transport transport, string child)
    {
        var proxy = Serve("--child", child);
        var client = await ConnectAsync(proxy, transport);
        var server = await ServerOfAsync(client);

        PosixSignals.Send(server, PosixSignals.Kill);
        await proxy.Errors.FirstAsync("the word that the child ended", line => line.Contains("signal 9", StringComparison.Ordinal));

        (await ServerOfAsync(client)).ShouldNotBe(server);
        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task In_a_call_that_gets_the_reason_and_the_next_one_is_served(Transport transport, string child)
    {
        await using var gate = new Gate();
        var client = await ConnectAsync(Serve("--child", child), transport);
        var server = await ServerOfAsync(client);
        var call = client.CallAsync("ask_port", new { port = gate.Port });
        await gate.CallArrivedAsync();

        PosixSignals.Send(server, PosixSignals.Kill);

        (await Should.ThrowAsync<McpProtocolException>(call)).Message.ShouldContain("signal 9");
        (await ServerOfAsync(client)).ShouldNotBe(server);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Subscriptions_and_the_log_level_outlive_it(Transport transport, string child)
    {
        var client = await ConnectAsync(Serve("--child", child), transport);
        await client.Sdk.SetLoggingLevelAsync(LoggingLevel.Warning, cancellationToken: TestContext.Current.CancellationToken);
        await using var subscription = await client.Sdk.SubscribeToResourceAsync("test://watched", (_, _) => ValueTask.CompletedTask, cancellationToken: TestContext.Current.CancellationToken);
        var server = await ServerOfAsync(client);

        await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("exit", new { code = 7 }));

        (await ServerOfAsync(client)).ShouldNotBe(server);
        (await client.TextAsync("log", new { text = "after", count = 1 })).ShouldBe("logged at Warning");
        await client.TextAsync("change", new { name = TestClient.NewKey("tool"), uri = "test://watched" });
        await client.NotificationAsync(NotificationMethods.ResourceUpdatedNotification, parameters => parameters?["uri"]?.GetValue<string>() == "test://watched");
    }

    [Fact]
    public async Task Before_it_answers_initialize_the_client_gets_the_reason_and_no_session()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--", "sh", "-c", "read -r line; echo \"process $$\" >&2; while :; do sleep 1000; done"]));
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));
        var opening = http.PostAsync(Messages.Initialize(1));
        var line = await proxy.Errors.FirstAsync("the child's word", line => line.Contains("process ", StringComparison.Ordinal));

        PosixSignals.Send(int.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture), PosixSignals.Kill);

        var (response, body) = await opening;
        body.ShouldContain("signal 9");
        response.Headers.Contains("Mcp-Session-Id").ShouldBeFalse();
    }

    [Fact]
    public async Task A_child_that_dies_of_every_call_is_left_alone_longer_and_longer()
    {
        var proxy = Serve("--child", "shared");
        var client = await ConnectAsync(proxy);
        for (var i = 0; i < 3; i++)
        {
            await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("exit", new { code = 7 }));
        }

        (await client.TextAsync("echo", new { text = "x" })).ShouldBe("x");
        proxy.Errors.Lines.Count(line => line.Contains("keeps ending", StringComparison.Ordinal)).ShouldBe(2);
    }

    [Fact]
    public async Task While_it_is_being_closed_the_end_is_as_orderly()
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--", "sh", "-c", "trap '' TERM; echo \"process $$\" >&2; while :; do sleep 1000; done"]));
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));
        var unanswered = http.PostAsync(Messages.Initialize(1));
        var line = await proxy.Errors.FirstAsync("the child's word", line => line.Contains("process ", StringComparison.Ordinal));
        proxy.Terminate();
        proxy.Terminate();
        await unanswered;

        PosixSignals.Send(int.Parse(line[(line.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture), PosixSignals.Kill);

        (await proxy.ExitAsync()).ShouldBe(0);
    }
}
