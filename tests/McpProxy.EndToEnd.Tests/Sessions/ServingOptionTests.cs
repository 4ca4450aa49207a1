using System.Net;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;

namespace McpProxy.EndToEnd.Tests.Sessions;

/// <summary>The options about how sessions, requests and children belong together.</summary>
public sealed class ServingOptionTests(ITestOutputHelper output) : ServingTest(output)
{
    [Fact]
    public async Task Stateless_serves_requests_that_come_out_of_nowhere()
    {
        var proxy = Serve("--stateless", "--stateless-servers", "1");
        using var http = new RawHttp(await proxy.ListeningAsync(Transport.StreamableHttp));

        var (response, body) = await http.PostAsync(Messages.Call(7, "echo", new { text = "hello" }));

        response.Headers.Contains("Mcp-Session-Id").ShouldBeFalse();
        body.ShouldContain("hello");
        (await http.DeleteAsync()).Response.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        var client = await ConnectAsync(proxy);
        client.Sdk.SessionId.ShouldBeNull();
        (await client.TextAsync("echo", new { text = "x" })).ShouldBe("x");
    }

    [Fact]
    public async Task Exit_with_child_ends_with_its_exit_code()
    {
        var proxy = Serve("--exit-with-child");
        var client = await ConnectAsync(proxy);

        (await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("exit", new { code = 7 }))).Message.ShouldContain("code 7");

        (await proxy.ExitAsync()).ShouldBe(7);
    }

    [Fact]
    public async Task Exit_with_child_does_not_mean_one_whose_session_has_ended()
    {
        var proxy = Serve("--exit-with-child");
        var first = await ConnectAsync(proxy);
        var server = await ServerOfAsync(first);
        await first.DisposeAsync();
        if (!OperatingSystem.IsWindows())
        {
            await PosixSignals.GoneAsync(server, "the child");
        }

        (await (await ConnectAsync(proxy)).TextAsync("echo", new { text = "x" })).ShouldBe("x");
    }

    [Fact]
    public async Task Header_to_env_gives_each_client_its_own_child()
    {
        var proxy = Serve("--header-to-env", "X-User-Id=USER_ID");
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        foreach (var user in new[] { "alice", "bob" })
        {
            var transport = TestClient.Http(url, Transport.StreamableHttp, new HeaderHandler("X-User-Id", user));
            var client = Own(await TestClient.ConnectAsync(transport, "2025-11-25"));
            (await client.TextAsync("environment", new { name = "USER_ID" })).ShouldBe($"={user}");
        }

        (await (await ConnectAsync(proxy)).TextAsync("environment", new { name = "USER_ID" })).ShouldBe("unset");
    }

    [Fact]
    public async Task Warm_children_serve_sessions_and_end_with_the_program()
    {
        var proxy = Serve("--warm", "1", "--debug");
        var spare = await StartedAsync(0);
        var client = await ConnectAsync(proxy);
        (await ServerOfAsync(client)).ShouldBe(spare);
        var next = await StartedAsync(1);

        proxy.Terminate();

        (await proxy.ExitAsync()).ShouldBe(0);
        if (!OperatingSystem.IsWindows())
        {
            await PosixSignals.GoneAsync(spare, "the child of the session");
            await PosixSignals.GoneAsync(next, "the spare");
        }

        async Task<int> StartedAsync(int index)
        {
            var seen = 0;
            var line = await proxy.Errors.FirstAsync("the start of a child", line => line.Contains("Started ", StringComparison.Ordinal) && seen++ == index);
            var words = line[(line.IndexOf("(process ", StringComparison.Ordinal) + 9)..];
            return int.Parse(words[..words.IndexOf(')', StringComparison.Ordinal)], System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    [Theory]
    [InlineData("per-session")]
    [InlineData("shared")]
    public async Task A_call_that_takes_too_long_is_answered_and_cancelled(string child)
    {
        // Long enough for a child to start on a machine that is busy: initialize counts too.
        var client = await ConnectAsync(Serve("--request-timeout", "8", "--child", child));
        var key = TestClient.NewKey("wait");

        var error = await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("wait", new { key }));

        ((int)error.ErrorCode).ShouldBe(-32001);
        (await client.TextAsync("was_cancelled", new { key })).ShouldBe("true");
    }

    private sealed class HeaderHandler(string name, string value) : DelegatingHandler(new SocketsHttpHandler())
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Headers.Add(name, value);
            return base.SendAsync(request, cancellationToken);
        }
    }
}
