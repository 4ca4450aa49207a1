using System.Net;
using McpProxy.Tests;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

/// <summary>How sessions begin and end, and that nothing of them stays.</summary>
public sealed class SessionLifeTests
{
    private readonly FakeUpstream _upstream = new(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });
    private readonly ManualTime _time = new();

    [Fact]
    public async Task Both_transports_share_the_places_and_a_place_is_given_back()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { MaxSessions = 2 });
        var (session, peer) = await OpenAsync(server);
        using (var sse = await server.Client.GetEventsAsync("/sse"))
        {
            await using var events = sse.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
            await events.NextAsync();
            foreach (var refused in (HttpResponseMessage[])[await server.Client.PostAsync("/mcp", Http.Initialize), await server.Client.GetEventsAsync("/sse")])
            {
                refused.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
                refused.Headers.RetryAfter.ShouldNotBeNull();
                refused.Content.Headers.ContentType!.MediaType.ShouldBe("application/json");
                (await refused.TextAsync()).ShouldContain("\"error\":{\"code\":-32000");
                refused.Dispose();
            }
        }

        await UntilAsync(() => server.SessionCount == 1);
        await OpenAsync(server, skip: 1);
        await DeleteAsync(server, session);
        await UntilAsync(() => peer.IsDisposed && server.SessionCount == 1);
        await OpenAsync(server);
    }

    [Fact]
    public async Task Notifications_are_use_too()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { SessionIdleTimeout = TimeSpan.FromMinutes(1) }, _time);
        var (session, peer) = await OpenAsync(server);
        for (var i = 0; i < 3; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(45));
            (await server.Client.PostAsync("/mcp", Http.Initialized, session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        }

        peer.IsDisposed.ShouldBeFalse();
        _time.Advance(TimeSpan.FromSeconds(70));
        await UntilAsync(() => peer.IsDisposed && server.SessionCount == 0);
    }

    [Fact]
    public async Task A_session_with_an_open_stream_or_a_request_is_in_use()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { SessionIdleTimeout = TimeSpan.FromMinutes(1) }, _time);
        var (watching, watched) = await OpenAsync(server);
        var (asking, asked) = await OpenAsync(server);
        using (await server.Client.GetEventsAsync("/mcp", watching))
        {
            var posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""", asking);
            await asked.NextJsonAsync();
            _time.Advance(TimeSpan.FromHours(1));
            server.SessionCount.ShouldBe(2);
            await asked.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{}}""");
            await (await posting).TextAsync();
        }

        await UntilAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(30));
            return watched.IsDisposed && asked.IsDisposed;
        });
        await UntilAsync(() => server.SessionCount == 0);
    }

    [Fact]
    public async Task A_server_that_keeps_asking_keeps_no_session()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { SessionIdleTimeout = TimeSpan.FromMinutes(1) }, _time);
        var (_, peer) = await OpenAsync(server);
        for (var i = 0; i < 40 && !peer.IsDisposed; i++)
        {
            // One in each tick: there is always one that nobody could hear for too long.
            await peer.SayAsync($"{{\"jsonrpc\":\"2.0\",\"id\":\"q{i}\",\"method\":\"ping\"}}");
            _time.Advance(TimeSpan.FromSeconds(4));
        }

        await UntilAsync(() => peer.IsDisposed && server.SessionCount == 0);
    }

    [Fact]
    public async Task A_request_whose_client_has_gone_keeps_no_session()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { SessionIdleTimeout = TimeSpan.FromMinutes(1) }, _time);
        var (session, peer) = await OpenAsync(server);
        using (var abort = new CancellationTokenSource())
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = new StringContent("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""", null, "application/json") };
            request.Headers.Add("Mcp-Session-Id", session);
            request.Headers.TryAddWithoutValidation("Accept", "application/json, text/event-stream");
            var posting = server.Client.SendAsync(request, abort.Token);
            await peer.NextJsonAsync();
            await abort.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(() => posting);
        }

        await UntilAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(30));
            return peer.IsDisposed;
        });
    }

    [Fact]
    public async Task A_question_that_was_taken_back_is_not_answered_in_the_clients_name()
    {
        await using var server = await TestServer.StartAsync(_upstream, time: _time);
        var (session, peer) = await OpenAsync(server);
        await peer.SayAsync("""{"jsonrpc":"2.0","id":0,"method":"roots/list"}""");
        peer.End(ConnectionEndReason.ChildExited, "it fell over");
        await UntilAsync(() => peer.IsDisposed);
        using var stream = await server.Client.GetEventsAsync("/mcp", session);
        await using var events = stream.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await events.NextAsync()).Data.ShouldContain("roots/list");
        (await events.NextAsync()).Data.ShouldContain("notifications/cancelled");
    }

    [Fact]
    public async Task A_question_that_was_taken_back_before_anybody_heard_it_is_forgotten()
    {
        await using var server = await TestServer.StartAsync(_upstream, time: _time);
        var (_, peer) = await OpenAsync(server);
        await peer.SayAsync("""{"jsonrpc":"2.0","id":0,"method":"roots/list"}""");
        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}""");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"roots/list"}""");
        _time.Advance(TimeSpan.FromSeconds(25));
        (await peer.NextJsonAsync()).ShouldContain("\"id\":1,\"error\"");
        peer.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task A_command_that_cannot_be_started_gives_an_error_and_no_session()
    {
        var upstream = new FakeUpstream(() =>
        {
            var peer = new FakePeer { IsGone = true };
            peer.End(ConnectionEndReason.StartFailed, "no such command");
            return peer;
        });
        await using var server = await TestServer.StartAsync(upstream);
        using var response = await server.Client.PostAsync("/mcp", Http.Initialize);
        (await response.TextAsync()).ShouldContain("no such command");
        response.Headers.Contains("Mcp-Session-Id").ShouldBeFalse();
        await UntilAsync(() => server.SessionCount == 0);
    }

    [Fact]
    public async Task A_server_that_dies_during_initialize_ends_the_session_with_the_reason()
    {
        var upstream = new FakeUpstream(() => new FakePeer());
        await using var server = await TestServer.StartAsync(upstream);
        var posting = server.Client.PostAsync("/mcp", Http.Initialize);
        var peer = await upstream.NextAsync();
        await peer.NextJsonAsync();
        peer.End(ConnectionEndReason.ChildExited, "exited with signal 9; its last output: ouch", 137);
        (await (await posting).TextAsync()).ShouldContain("signal 9; its last output: ouch");
        await UntilAsync(() => server.SessionCount == 0 && peer.IsDisposed);
        upstream.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_server_that_dies_later_costs_no_session()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        await server.Client.PostAsync("/mcp", Http.Initialized, session);
        var posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""", session);
        await peer.NextJsonAsync();
        await peer.NextJsonAsync();
        peer.End(ConnectionEndReason.ChildExited, "it fell over", 1);
        (await (await posting).TextAsync()).ShouldContain("it fell over");
        await UntilAsync(() => peer.IsDisposed);
        var again = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""", session);
        var next = await _upstream.NextAsync();
        (await next.NextJsonAsync()).ShouldContain("mcp-proxy/restart/1");
        await next.SayAsync("""{"jsonrpc":"2.0","id":"mcp-proxy/restart/1","result":{}}""");
        (await next.NextJsonAsync()).ShouldBe(Http.Initialized);
        (await next.NextJsonAsync()).ShouldContain("tools/call");
        await next.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"alive"}""");
        (await (await again).TextAsync()).ShouldContain("alive");
    }

    private static async Task DeleteAsync(TestServer server, string session)
    {
        using var delete = new HttpRequestMessage(HttpMethod.Delete, "/mcp");
        delete.Headers.Add("Mcp-Session-Id", session);
        (await server.Client.SendAsync(delete, TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private async Task<(string Session, FakePeer Peer)> OpenAsync(TestServer server, int skip = 0)
    {
        for (; skip > 0; skip--)
        {
            await _upstream.NextAsync();
        }

        var response = await server.Client.PostAsync("/mcp", Http.Initialize);
        (await response.TextAsync()).ShouldBe(Http.InitializeResult);
        var peer = await _upstream.NextAsync();
        (await peer.NextJsonAsync()).ShouldBe(Http.Initialize);
        return (response.SessionOf(), peer);
    }
}
