using System.Collections.Concurrent;
using McpProxy.Relay;
using McpProxy.Tests;
using McpProxy.Transports;
using McpProxy.Transports.Http;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests;

/// <summary>The client halves of the HTTP transports, against real servers that the test scripts.</summary>
public sealed class HttpUpstreamTests
{
    private readonly FakePeer _client = new();
    private readonly ConcurrentQueue<string> _log = new();
    private Task _session = Task.CompletedTask;

    [Fact]
    public async Task The_session_and_the_version_are_the_proxys_business()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            _log.Enqueue($"{context.Request.Method} {context.Request.Headers["Mcp-Session-Id"]} {context.Request.Headers["MCP-Protocol-Version"]}");
            await LegacyAsync(context, "s1");
        });
        await InitializeAsync(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/list"}""");
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":2,"result":"tools/list"}""");
        _client.End(ConnectionEndReason.PeerClosed, "done");
        await _session;
        _log.ShouldContain("POST  ");
        _log.ShouldContain("POST s1 2025-11-25");
        _log.ShouldContain("GET s1 2025-11-25");
        _log.ShouldContain("DELETE s1 2025-11-25");
    }

    [Fact]
    public async Task A_lost_session_is_opened_again_without_the_client_noticing()
    {
        var current = "s1";
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            var session = context.Request.Headers["Mcp-Session-Id"].ToString();
            if (session.Length > 0 && session != current)
            {
                context.Response.StatusCode = 404;
                return;
            }

            if (context.Request.Method == "POST")
            {
                _log.Enqueue(body);
            }

            await LegacyAsync(context, current, body);
        });
        await InitializeAsync(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":"sub","method":"resources/subscribe","params":{"uri":"x:1"}}""");
        await _client.NextJsonAsync();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":"lvl","method":"logging/setLevel","params":{"level":"debug"}}""");
        await _client.NextJsonAsync();
        current = "s2";
        _log.Clear();
        await Task.WhenAll(Enumerable.Range(1, 5).Select(id => _client.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"method":"tools/call"}""")));
        for (var i = 0; i < 5; i++)
        {
            (await _client.NextJsonAsync()).ShouldContain("\"result\":\"tools/call\"");
        }

        _client.HasNothingMore.ShouldBeTrue();
        _log.Take(4).ShouldBe([
            Http.Initialize,
            Http.Initialized,
            """{"jsonrpc":"2.0","id":"lvl","method":"logging/setLevel","params":{"level":"debug"}}""",
            """{"jsonrpc":"2.0","id":"sub","method":"resources/subscribe","params":{"uri":"x:1"}}"""]);
        _log.Count(body => body == Http.Initialize).ShouldBe(1);
    }

    [Theory]
    [InlineData(404)]
    [InlineData(405)]
    [InlineData(400)]
    public async Task A_server_that_refuses_the_first_post_is_tried_over_sse(int status)
    {
        await using var server = await SseServerAsync(status);
        var session = Run(server.Url);
        await _client.SayAsync(Http.Initialize);
        (await _client.NextJsonAsync()).ShouldBe(Http.InitializeResult);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/list"}""");
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":2,"result":"tools/list"}""");
        _client.End(ConnectionEndReason.PeerClosed, "done");
        await session;
    }

    [Theory]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(500)]
    public async Task Credentials_and_failures_are_no_reason_to_fall_back(int status)
    {
        await using var server = await TestServer.ScriptAsync(context =>
        {
            _log.Enqueue(context.Request.Method);
            context.Response.StatusCode = status;
            return Task.CompletedTask;
        });
        _ = Run(server.Url);
        await _client.SayAsync(Http.Initialize);
        (await _client.NextJsonAsync()).ShouldContain($"HTTP {status}");
        _log.ShouldBe(["POST"]);
    }

    [Fact]
    public async Task When_neither_transport_works_the_first_error_is_reported()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            context.Response.StatusCode = context.Request.Method == "POST" ? 400 : 406;
            await context.Response.WriteAsync("""{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"the first one"}}""");
        });
        _ = Run(server.Url);
        await _client.SayAsync(Http.Initialize);
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"init","error":{"code":-32000,"message":"the first one"}}""");
    }

    [Fact]
    public async Task A_modern_error_is_an_answer_and_no_reason_to_fall_back()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            _log.Enqueue(context.Request.Method);
            context.Response.StatusCode = 400;
            await context.Response.WriteAsync("""{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"v","data":{"supported":["x"]}}}""");
        });
        _ = Run(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}""");
        (await _client.NextJsonAsync()).ShouldContain("\"supported\":[\"x\"]");
        _log.ShouldBe(["POST"]);
    }

    [Fact]
    public async Task A_server_that_is_not_there_yet_is_waited_for()
    {
        var reserved = await TestServer.ScriptAsync(_ => Task.CompletedTask);
        var url = reserved.Url;
        await reserved.DisposeAsync();
        _ = Run(url);
        await _client.SayAsync(Http.Initialize);
        await using var server = await TestServer.ScriptAsync(context => LegacyAsync(context, "s"), url.Port);
        (await _client.NextJsonAsync()).ShouldBe(Http.InitializeResult);
    }

    [Fact]
    public async Task A_server_that_never_comes_is_an_error_and_the_end()
    {
        var reserved = await TestServer.ScriptAsync(_ => Task.CompletedTask);
        var url = reserved.Url;
        await reserved.DisposeAsync();
        var session = Run(url, TimeSpan.FromMilliseconds(50));
        await _client.SayAsync(Http.Initialize);
        (await _client.NextJsonAsync()).ShouldContain("cannot reach");
        (await session).End.Reason.ShouldBe(ConnectionEndReason.ConnectFailed);
    }

    [Fact]
    public async Task A_stream_that_breaks_off_is_resumed_after_its_last_event()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            if (!body.Contains("tools/call", StringComparison.Ordinal) && context.Request.Headers["Last-Event-ID"].Count == 0)
            {
                await LegacyAsync(context, "s", body);
                return;
            }

            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync(context.Request.Method == "POST"
                ? "id: e1\nretry: 10\ndata:\n\nid: e2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n"
                : $"data: {{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"after {context.Request.Headers["Last-Event-ID"]}\"}}\n\n");
        });
        await InitializeAsync(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/call"}""");
        (await _client.NextAsync()).Json.ShouldContain("progress");
        (await _client.NextJsonAsync()).ShouldContain("after e2");
    }

    [Fact]
    public async Task A_stream_that_ends_for_good_is_an_error()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync(": hello\n\n");
        });
        _ = Run(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/call"}""");
        (await _client.NextJsonAsync()).ShouldContain("\"id\":2,\"error\"");
    }

    [Fact]
    public async Task Every_byte_of_an_answer_survives_as_json_and_as_an_event()
    {
        const string Answer = """{ "jsonrpc":"2.0","id":2 ,"result":{"n":1.50,"n":2,"s":"\u00e9\/é  "},"x":null }""";
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            if (context.Request.Headers["X-As"] == "event")
            {
                context.Response.ContentType = "text/event-stream; charset=utf-8";
                await context.Response.WriteAsync($"event: message\r\ndata: {Answer}\r\n\r\n");
            }
            else
            {
                context.Response.ContentType = "application/json";
                await context.Response.WriteAsync(Answer);
            }
        });
        foreach (var form in (string[])["json", "event"])
        {
            var client = new FakePeer();
            await using var upstream = new HttpUpstream(new() { Url = server.Url, Headers = [new("X-As", form)] });
            _ = new RelaySession(client, upstream.Connect()).RunAsync(TestContext.Current.CancellationToken);
            await client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"x"}""");
            (await client.NextJsonAsync()).ShouldBe(Answer);
        }
    }

    [Fact]
    public async Task A_cancellation_overtakes_what_it_cancels()
    {
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            if (body.Contains("tools/call", StringComparison.Ordinal))
            {
                await release.Task;
            }

            if (body.Contains("cancelled", StringComparison.Ordinal))
            {
                cancelled.TrySetResult();
            }

            await LegacyAsync(context, "s", body);
        });
        await InitializeAsync(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/call"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}""");
        await cancelled.Task.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        release.TrySetResult();
    }

    [Fact]
    public async Task A_modern_request_is_cancelled_by_closing_its_stream()
    {
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            _log.Enqueue(body);
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n");
            await context.Response.Body.FlushAsync();
            context.RequestAborted.Register(() => closed.TrySetResult());
            await closed.Task;
        });
        _ = Run(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"slow","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}""");
        await _client.NextJsonAsync();
        await _client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}""");
        await closed.Task.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        _log.Count.ShouldBe(1);
        _client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Sticky_cookies_go_back_to_the_server_that_set_them()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            _log.Enqueue(context.Request.Headers.Cookie.ToString());
            context.Response.Headers.SetCookie = "route=b2; Path=/";
            await LegacyAsync(context, "s");
        });
        await InitializeAsync(server.Url);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/list"}""");
        await _client.NextJsonAsync();
        _log.First().ShouldBe("");
        _log.Last().ShouldBe("route=b2");
    }

    [Fact]
    public async Task A_redirect_within_the_origin_is_followed_and_another_origin_never_sees_the_headers()
    {
        var seenElsewhere = false;
        await using var elsewhere = await TestServer.ScriptAsync(context =>
        {
            seenElsewhere = true;
            return Task.CompletedTask;
        });
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            if (context.Request.Path == "/mcp")
            {
                context.Response.Redirect("/mcp/", permanent: false, preserveMethod: true);
            }
            else if (context.Request.Path == "/away")
            {
                context.Response.Redirect(elsewhere.Url.ToString(), permanent: false, preserveMethod: true);
            }
            else
            {
                await LegacyAsync(context, "s");
            }
        });
        _ = Run(new Uri(server.Url, "/mcp"));
        await _client.SayAsync(Http.Initialize);
        (await _client.NextJsonAsync()).ShouldBe(Http.InitializeResult);
        var other = new FakePeer();
        await using var upstream = new HttpUpstream(new() { Url = new Uri(server.Url, "/away"), Headers = [new("Authorization", "Bearer secret")] });
        _ = new RelaySession(other, upstream.Connect()).RunAsync(TestContext.Current.CancellationToken);
        await other.SayAsync(Http.Initialize);
        (await other.NextJsonAsync()).ShouldContain("another origin");
        seenElsewhere.ShouldBeFalse();
    }

    [Fact]
    public async Task An_endpoint_on_another_origin_is_refused()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("event: endpoint\ndata: https://evil.example/steal\n\n");
        });
        _ = Run(server.Url, choice: HttpTransportChoice.SseOnly);
        await _client.SayAsync(Http.Initialize);
        (await _client.NextJsonAsync()).ShouldContain("another origin");
    }

    [Fact]
    public async Task A_broken_sse_stream_is_opened_again_and_the_session_on_it_restored()
    {
        var streams = new ConcurrentQueue<TaskCompletionSource>();
        await using var server = await SseServerAsync(405, streams);
        _ = Run(server.Url);
        await _client.SayAsync(Http.Initialize);
        await _client.NextJsonAsync();
        await _client.SayAsync(Http.Initialized);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"never"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":3,"method":"tools/list"}""");
        await _client.NextJsonAsync();
        _log.Clear();
        streams.TryDequeue(out var first).ShouldBeTrue();
        first!.TrySetResult();
        (await _client.NextJsonAsync()).ShouldContain("\"id\":2,\"error\"");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":4,"method":"tools/list"}""");
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":4,"result":"tools/list"}""");
        _log.Where(body => !body.Contains("never", StringComparison.Ordinal)).Take(2).ShouldBe([Http.Initialize, Http.Initialized]);
    }

    [Fact]
    public void Headers_that_cannot_be_sent_are_refused_before_anything_is()
    {
        Should.Throw<ArgumentException>(() => new HttpUpstream(new() { Url = new("http://h"), Headers = [new("Authorization", "x\r\nX-Evil: 1")] })).Message.ShouldNotContain("Evil");
        Should.Throw<ArgumentException>(() => new HttpUpstream(new() { Url = new("http://h"), Headers = [new("Content-Length", "1")] }));
    }

    [Fact]
    public async Task A_message_that_is_too_long_is_an_error_and_the_session_goes_on()
    {
        await using var server = await TestServer.ScriptAsync(async context =>
        {
            var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
            context.Response.ContentType = "application/json";
            await context.Response.WriteAsync(body.Contains("\"big\"", StringComparison.Ordinal) ? $$"""{"jsonrpc":"2.0","id":1,"result":"{{new string('x', 5000)}}"}""" : """{"jsonrpc":"2.0","id":2,"result":"ok"}""");
        });
        await using var upstream = new HttpUpstream(new() { Url = server.Url, MaxMessageSize = 1000 });
        _ = new RelaySession(_client, upstream.Connect()).RunAsync(TestContext.Current.CancellationToken);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"big"}""");
        (await _client.NextJsonAsync()).ShouldContain("longer than 1000 bytes");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"small"}""");
        (await _client.NextJsonAsync()).ShouldContain("ok");
    }

    private static async Task LegacyAsync(HttpContext context, string session, string? body = null)
    {
        if (context.Request.Method != "POST")
        {
            context.Response.StatusCode = context.Request.Method == "GET" ? 405 : 200;
            return;
        }

        body ??= await new StreamReader(context.Request.Body).ReadToEndAsync();
        if (Answer(body) is not { } answer)
        {
            context.Response.StatusCode = 202;
            return;
        }

        context.Response.Headers["Mcp-Session-Id"] = session;
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(answer);
    }

    private static string? Answer(string body)
    {
        McpProxy.JsonRpc.JsonRpcMessage.TryParse(System.Text.Encoding.UTF8.GetBytes(body), out var message, out _).ShouldBeTrue();
        var method = System.Text.Encoding.UTF8.GetString(message.Method);
        return message.Kind != McpProxy.JsonRpc.JsonRpcMessageKind.Request ? null
            : method == "initialize" ? Http.InitializeResult
            : $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":"{{method}}"}""";
    }

    private Task<TestServer> SseServerAsync(int postStatus, ConcurrentQueue<TaskCompletionSource>? streams = null)
    {
        HttpContext? stream = null;
        return TestServer.ScriptAsync(async context =>
        {
            if (context.Request.Method == "GET")
            {
                var end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                streams?.Enqueue(end);
                context.RequestAborted.Register(() => end.TrySetResult());
                context.Response.ContentType = "text/event-stream";
                await context.Response.WriteAsync("event: endpoint\ndata: /post?session=1\n\n");
                await context.Response.Body.FlushAsync();
                stream = context;
                await end.Task;
            }
            else if (context.Request.Path != "/post")
            {
                context.Response.StatusCode = postStatus;
            }
            else
            {
                var body = await new StreamReader(context.Request.Body).ReadToEndAsync();
                _log.Enqueue(body);
                context.Response.StatusCode = 202;
                await context.Response.CompleteAsync();
                if (Answer(body) is { } answer && !body.Contains("never", StringComparison.Ordinal))
                {
                    await stream!.Response.WriteAsync($"event: message\ndata: {answer}\n\n");
                    await stream.Response.Body.FlushAsync();
                }
            }
        });
    }

    private Task<RelayEnd> Run(Uri url, TimeSpan? connectTimeout = null, HttpTransportChoice choice = HttpTransportChoice.StreamableHttpFirst)
    {
        var upstream = new HttpUpstream(new() { Url = url, Transport = choice, ConnectTimeout = connectTimeout ?? TimeSpan.FromSeconds(20) });
        return new RelaySession(_client, upstream.Connect()).RunAsync(TestContext.Current.CancellationToken);
    }

    private async Task InitializeAsync(Uri url)
    {
        _session = Run(url);
        await _client.SayAsync(Http.Initialize);
        (await _client.NextJsonAsync()).ShouldBe(Http.InitializeResult);
        await _client.SayAsync(Http.Initialized);
    }
}
