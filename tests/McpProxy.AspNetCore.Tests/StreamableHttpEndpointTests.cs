using System.Net;
using System.Net.Sockets;
using McpProxy.AspNetCore.Tests.Access;
using McpProxy.Eras;
using McpProxy.Tests;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests;

/// <summary>The server half of Streamable HTTP, legacy revisions, over real sockets.</summary>
public sealed class StreamableHttpEndpointTests
{
    private readonly FakeUpstream _upstream = new(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });
    private readonly ManualTime _time = new();

    [Fact]
    public async Task A_session_begins_with_initialize_and_ends_with_delete()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        (await server.Client.PostAsync("/mcp", Http.Initialized, session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await peer.NextJsonAsync()).ShouldBe(Http.Initialized);
        using var delete = new HttpRequestMessage(HttpMethod.Delete, "/mcp");
        delete.Headers.Add("Mcp-Session-Id", session);
        (await server.Client.SendAsync(delete, TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        var after = await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":5,"method":"ping"}""", session);
        after.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await after.TextAsync()).ShouldContain("\"id\":5");
    }

    [Fact]
    public async Task A_request_with_the_id_that_initialize_had_may_fail_and_the_session_goes_on()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var failing = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":"init","method":"tools/call"}""", session);
        await peer.NextAsync();
        await peer.SayAsync("""{"jsonrpc":"2.0","id":"init","error":{"code":-32602,"message":"no"}}""");
        (await (await failing).TextAsync()).ShouldContain("-32602");

        (await server.Client.PostAsync("/mcp", Http.Initialized, session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        server.SessionCount.ShouldBe(1);
    }

    [Fact]
    public async Task A_message_on_its_way_to_a_session_that_ends_is_told_so()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        peer.Readable = new TaskCompletionSource().Task;
        var posted = server.Client.PostAsync("/mcp", Http.Initialized, session);
        await peer.BeingSentAsync();
        using var delete = new HttpRequestMessage(HttpMethod.Delete, "/mcp");
        delete.Headers.Add("Mcp-Session-Id", session);
        await server.Client.SendAsync(delete, TestContext.Current.CancellationToken);

        var answer = await posted;
        answer.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await answer.TextAsync()).ShouldContain("Session not found");
    }

    [Fact]
    public async Task Where_only_the_modern_era_is_offered_there_is_nothing_to_get_or_to_delete()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { Bridge = new() { Downstream = EraChoice.Modern } });
        (await server.Client.GetEventsAsync("/mcp", "some")).StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        var answer = await server.Client.DeleteAsync(new Uri("/mcp", UriKind.Relative), TestContext.Current.CancellationToken);
        answer.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        answer.Content.Headers.Allow.ShouldBe(["POST"]);
    }

    [Theory]
    [InlineData(null, HttpStatusCode.BadRequest)]
    [InlineData("unknown", HttpStatusCode.NotFound)]
    public async Task A_missing_session_is_400_and_an_unknown_one_404(string? session, HttpStatusCode status)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        (await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/list"}""", session)).StatusCode.ShouldBe(status);
        (await server.Client.GetEventsAsync("/mcp", session)).StatusCode.ShouldBe(status);
        _upstream.Count.ShouldBe(0);
    }

    [Theory]
    [InlineData("garbage", "application/json", "application/json", HttpStatusCode.BadRequest, "-32700")]
    [InlineData("""{"jsonrpc":"2.0","id":3,"method":1}""", "application/json", "application/json", HttpStatusCode.BadRequest, "\"id\":3")]
    [InlineData("[]", "application/json", "application/json", HttpStatusCode.BadRequest, "-32600")]
    [InlineData(Http.Initialize, "text/plain", "application/json", HttpStatusCode.UnsupportedMediaType, "application/json")]
    [InlineData(Http.Initialize, "application/json", "text/html", HttpStatusCode.NotAcceptable, "text/event-stream")]
    public async Task What_cannot_be_read_is_refused_with_the_status_it_deserves(string body, string contentType, string accept, HttpStatusCode status, string text)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        using var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = new StringContent(body, null, contentType) };
        request.Headers.TryAddWithoutValidation("Accept", accept);
        var response = await server.Client.SendAsync(request, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(status);
        (await response.TextAsync()).ShouldContain(text);
    }

    [Fact]
    public async Task A_body_that_is_too_long_is_413_with_and_without_a_length()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { MaxMessageSize = 1000 });
        var body = $$"""{"jsonrpc":"2.0","id":1,"method":"initialize","params":"{{new string('x', 2000)}}"}""";
        (await server.Client.PostAsync("/mcp", body)).StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
        using var chunked = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = new StringContent(body, null, "application/json") };
        chunked.Headers.TransferEncodingChunked = true;
        (await server.Client.SendAsync(chunked, TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
    }

    [Fact]
    public async Task Other_methods_are_405_and_say_which_are_allowed()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var response = await server.Client.PutAsync("/mcp", null, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        response.Content.Headers.Allow.ShouldContain("POST");
    }

    [Theory]
    [InlineData("Host", "evil.example", "--allow-host evil.example")]
    [InlineData("Origin", "https://evil.example", "--allow-origin https://evil.example")]
    [InlineData("Origin", "null", "--allow-origin")]
    public async Task Foreign_hosts_and_origins_are_refused_and_the_option_is_named(string header, string value, string hint)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var response = await server.Client.PostAsync("/mcp", Http.Initialize, headers: (header, value));
        response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        (await response.TextAsync()).ShouldContain(hint);
        _upstream.Count.ShouldBe(0);
    }

    [Theory]
    [InlineData("Host", "localhost:1234")]
    [InlineData("Host", "[::1]:80")]
    [InlineData("Host", "named.example")]
    [InlineData("Origin", "http://localhost:6274")]
    [InlineData("Origin", "https://named.example")]
    public async Task Loopback_and_named_ones_come_in(string header, string value)
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { AllowedHosts = ["named.example"], AllowedOrigins = ["https://named.example"] });
        (await server.Client.PostAsync("/mcp", Http.Initialize, headers: (header, value))).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_named_origin_may_ask_before_and_read_after()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { AllowedOrigins = ["https://named.example"] });
        using var preflight = new HttpRequestMessage(HttpMethod.Options, "/mcp");
        preflight.Headers.Add("Origin", "https://named.example");
        preflight.Headers.Add("Access-Control-Request-Method", "POST");
        preflight.Headers.Add("Access-Control-Request-Headers", "mcp-session-id, mcp-param-region");
        var allowed = await server.Client.SendAsync(preflight, TestContext.Current.CancellationToken);
        allowed.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        allowed.Headers.GetValues("Access-Control-Allow-Origin").ShouldBe(["https://named.example"]);
        allowed.Headers.GetValues("Access-Control-Allow-Headers").Single().ShouldContain("mcp-param-region");
        var response = await server.Client.PostAsync("/mcp", Http.Initialize, headers: ("Origin", "https://named.example"));
        response.Headers.GetValues("Access-Control-Expose-Headers").Single().ShouldContain("Mcp-Session-Id");
        (await server.Client.PostAsync("/mcp", Http.Initialize, headers: ("Origin", "http://localhost:1"))).Headers.Contains("Access-Control-Allow-Origin").ShouldBeFalse();
    }

    [Fact]
    public async Task What_belongs_to_a_call_travels_on_its_stream_and_the_rest_on_the_sessions()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        await using var own = (await server.Client.GetEventsAsync("/mcp", session)).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}""", session);
        await peer.NextJsonAsync();
        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}""");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}""");
        await using var call = (await posting).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await call.NextAsync()).Data.ShouldContain("progress");
        (await call.NextAsync()).Data.ShouldContain("elicitation");
        (await own.NextAsync()).Data.ShouldContain("list_changed");
        (await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}""", session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await peer.NextJsonAsync()).ShouldContain("decline");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"done"}""");
        (await call.NextAsync()).Data.ShouldContain("done");
        (await call.MoveNextAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task A_client_that_takes_json_only_gets_json_and_a_batch_gets_an_array()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var posting = server.Client.PostAsync("/mcp", """[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","id":2,"method":"b"}]""", session, "application/json");
        await peer.NextJsonAsync();
        await peer.NextJsonAsync();
        await peer.NextJsonAsync();
        await peer.SayAsync("""{"jsonrpc":"2.0","id":2,"result":"b"}""");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"a"}""");
        (await (await posting).TextAsync()).ShouldBe("""[{"jsonrpc":"2.0","id":2,"result":"b"},{"jsonrpc":"2.0","id":1,"result":"a"}]""");
    }

    [Fact]
    public async Task A_batch_gets_a_stream_with_every_answer()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var posting = server.Client.PostAsync("/mcp", """[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b"}]""", session);
        await peer.NextJsonAsync();
        await peer.NextJsonAsync();
        await peer.SayAsync("""{"jsonrpc":"2.0","id":2,"result":"b"}""");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"a"}""");
        var answers = new List<string>();
        await foreach (var item in (await posting).EventsAsync())
        {
            answers.Add(item.Data);
        }

        answers.Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_client_that_lost_its_connection_comes_back_for_the_rest()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":1}}}""", session);
        await peer.NextJsonAsync();
        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}""");
        string lastEventId;
        using (var response = await posting)
        {
            await using var events = response.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
            lastEventId = (await events.NextAsync()).EventId!;
        }

        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2}}""");
        await using var rest = (await server.Client.GetEventsAsync("/mcp", session, lastEventId)).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await rest.NextAsync()).Data.ShouldContain("\"progress\":2");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"done"}""");
        (await rest.NextAsync()).Data.ShouldContain("done");
        (await rest.MoveNextAsync()).ShouldBeFalse();
        await using var again = (await server.Client.GetEventsAsync("/mcp", session, lastEventId)).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await again.NextAsync()).Data.ShouldContain("\"progress\":2");
        (await again.NextAsync()).Data.ShouldContain("done");
        (await again.MoveNextAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task A_client_that_has_nothing_but_the_first_event_id_still_gets_the_answer()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""", session);
        await peer.NextJsonAsync();
        string? line;
        using (var response = await posting)
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
            line = await reader.ReadLineAsync(TestContext.Current.CancellationToken);
        }

        line.ShouldNotBeNull().ShouldStartWith("id: ");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"done"}""");
        await using var rest = (await server.Client.GetEventsAsync("/mcp", session, line[4..])).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await rest.NextAsync()).Data.ShouldContain("done");
    }

    [Fact]
    public async Task The_first_event_of_a_stream_marks_where_the_client_came_in()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
        string? first;
        using (var response = await server.Client.GetEventsAsync("/mcp", session))
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
            first = await reader.ReadLineAsync(TestContext.Current.CancellationToken);
        }

        await using var again = (await server.Client.GetEventsAsync("/mcp", session, first.ShouldNotBeNull()[4..])).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await again.NextAsync()).Data.ShouldContain("tools/list_changed");
    }

    [Fact]
    public async Task A_client_that_gives_up_initialising_leaves_no_session()
    {
        var upstream = new FakeUpstream(() => new FakePeer());
        await using var server = await TestServer.StartAsync(upstream);
        using (var abort = new CancellationTokenSource())
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = new StringContent(Http.Initialize, null, "application/json") };
            var posting = server.Client.SendAsync(request, abort.Token);
            var peer = await upstream.NextAsync();
            await peer.NextJsonAsync();
            await abort.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(() => posting);
            await UntilAsync(() => peer.IsDisposed && server.SessionCount == 0);
        }
    }

    [Fact]
    public async Task What_came_before_the_stream_was_opened_is_not_lost_and_a_second_stream_takes_over()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
        await using var first = (await server.Client.GetEventsAsync("/mcp", session)).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await first.NextAsync()).Data.ShouldContain("tools/list_changed");
        await using var second = (await server.Client.GetEventsAsync("/mcp", session)).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await first.MoveNextAsync()).ShouldBeFalse();
        await peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}""");
        (await second.NextAsync()).Data.ShouldContain("prompts/list_changed");
    }

    [Fact]
    public async Task Silence_is_broken_by_comments()
    {
        await using var server = await TestServer.StartAsync(_upstream, time: _time);
        var (session, _) = await OpenAsync(server);
        using var response = await server.Client.GetEventsAsync("/mcp", session);
        response.Headers.GetValues("X-Accel-Buffering").ShouldBe(["no"]);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        var comment = ReadCommentAsync(reader);
        while (!comment.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            await Task.Yield();
        }

        (await comment).ShouldBe(":");
        _time.GetUtcNow().ShouldBeGreaterThan(DateTimeOffset.UnixEpoch);

        static async Task<string?> ReadCommentAsync(StreamReader reader)
        {
            string? line;
            do
            {
                line = await reader.ReadLineAsync();
            }
            while (line is not (null or ":"));
            return line;
        }
    }

    [Fact]
    public async Task A_session_that_nobody_uses_ends()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { SessionIdleTimeout = TimeSpan.FromMinutes(1) }, _time);
        var (session, peer) = await OpenAsync(server);
        _time.Advance(TimeSpan.FromSeconds(50));
        server.SessionCount.ShouldBe(1);
        _time.Advance(TimeSpan.FromSeconds(20));
        await UntilAsync(() => peer.IsDisposed);
        (await server.Client.PostAsync("/mcp", Http.Initialized, session)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_question_that_nobody_can_hear_is_answered()
    {
        await using var server = await TestServer.StartAsync(_upstream, time: _time);
        var (_, peer) = await OpenAsync(server);
        await peer.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"roots/list"}""");
        _time.Advance(TimeSpan.FromSeconds(25));
        (await peer.NextJsonAsync()).ShouldContain("\"id\":\"q\",\"error\"");
    }

    [Fact]
    public async Task Sessions_are_bounded()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { MaxSessions = 1 });
        await OpenAsync(server);
        var refused = await server.Client.PostAsync("/mcp", Http.Initialize);
        refused.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        refused.Headers.RetryAfter.ShouldNotBeNull();
    }

    [Fact]
    public async Task A_session_whose_server_died_is_told_and_gets_another()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""", session);
        await peer.NextJsonAsync();
        peer.End(ConnectionEndReason.ChildExited, "it fell over", 1);
        (await (await posting).TextAsync()).ShouldContain("it fell over");

        posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":2,"method":"tools/call"}""", session);
        var next = await _upstream.NextAsync();
        (await next.NextJsonAsync()).ShouldContain("initialize");
        await next.SayAsync("""{"jsonrpc":"2.0","id":"mcp-proxy/restart/1","result":{"protocolVersion":"2025-06-18"}}""");
        string asked;
        do
        {
            asked = await next.NextJsonAsync();
        }
        while (!asked.Contains("tools/call", StringComparison.Ordinal));

        await next.SayAsync("""{"jsonrpc":"2.0","id":2,"result":{}}""");
        (await (await posting).TextAsync()).ShouldContain("\"id\":2,\"result\"");
    }

    [Fact]
    public async Task A_client_that_breaks_off_in_the_middle_of_its_request_is_no_defect()
    {
        using var log = new LogKeeper();
        await using var server = await TestServer.StartAsync(_upstream, loggers: log);
        using (var socket = new Socket(SocketType.Stream, ProtocolType.Tcp))
        {
            await socket.ConnectAsync(IPAddress.Loopback, server.Url.Port);
            await socket.SendAsync("POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"u8.ToArray());
            (await socket.ReceiveAsync(new byte[100])).ShouldBeGreaterThan(0, "the body is being waited for");
            socket.LingerState = new(true, 0);
        }

        await UntilAsync(() => log.All.Count > 0);
        log.All.ShouldHaveSingleItem().ShouldStartWith("A client broke off");
        log.Warnings.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_refused_initialisation_gives_no_session()
    {
        await using var server = await TestServer.StartAsync(new FakeUpstream(() => new FakePeer { Answer = _ => """{"jsonrpc":"2.0","id":"init","error":{"code":-32602,"message":"no"}}""" }));
        var response = await server.Client.PostAsync("/mcp", Http.Initialize);
        (await response.TextAsync()).ShouldContain("-32602");
        response.Headers.Contains("Mcp-Session-Id").ShouldBeFalse();
    }

    [Fact]
    public async Task A_cancelled_request_ends_its_stream()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var posting = server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""", session);
        await peer.NextJsonAsync();
        await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}""", session);
        await using var events = (await posting).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await events.MoveNextAsync()).ShouldBeFalse();
        (await peer.NextJsonAsync()).ShouldContain("cancelled");
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

    private async Task<(string Session, FakePeer Peer)> OpenAsync(TestServer server)
    {
        var response = await server.Client.PostAsync("/mcp", Http.Initialize);
        (await response.TextAsync()).ShouldBe(Http.InitializeResult);
        var peer = await _upstream.NextAsync();
        (await peer.NextJsonAsync()).ShouldBe(Http.Initialize);
        return (response.SessionOf(), peer);
    }
}
