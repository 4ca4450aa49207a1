using System.Net;
using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Tests;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Stateless;

/// <summary>Clients of the legacy era without sessions (<c>--stateless</c>).</summary>
public sealed class SessionlessTests
{
    private const string Call = """{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}""";

    /// <summary>A server that wants to be initialised first, and answers nothing but that and lists.</summary>
    private readonly FakeUpstream _upstream = new(() =>
    {
        var isInitialized = false;
        return new FakePeer
        {
            Answer = message =>
            {
                isInitialized |= message.Is("notifications/initialized"u8);
                var id = Encoding.UTF8.GetString(message.Id.Utf8Text.Span);
                return message.Is("initialize"u8) ? $$$$"""{"jsonrpc":"2.0","id":{{{{id}}}},"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"s"}}}"""
                    : message.Is("tools/list"u8) ? $$$"""{"jsonrpc":"2.0","id":{{{id}}},"result":{"tools":[],"initialized":{{{(isInitialized ? "true" : "false")}}}}}"""
                    : null;
            },
        };
    });

    [Fact]
    public async Task A_request_needs_no_initialize_and_gets_no_session()
    {
        await using var server = await StartAsync();
        using var response = await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":"x","method":"tools/list"}""");
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Headers.Contains("Mcp-Session-Id").ShouldBeFalse();
        (await response.TextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"x","result":{"tools":[],"initialized":true}}""");
        server.SessionCount.ShouldBe(0);
    }

    [Fact]
    public async Task A_client_that_initializes_all_the_same_gets_the_servers_answer()
    {
        await using var server = await StartAsync();
        using var response = await server.Client.PostAsync("/mcp", Http.Initialize);
        response.Headers.Contains("Mcp-Session-Id").ShouldBeFalse();
        (await response.TextAsync()).ShouldContain("\"id\":\"init\",\"result\":{\"protocolVersion\":\"2025-06-18\"");
        (await server.Client.PostAsync("/mcp", Http.Initialized)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        var peer = await _upstream.NextAsync();
        (await peer.NextJsonAsync()).ShouldContain("\"capabilities\":{}");
        (await peer.NextJsonAsync()).ShouldContain("notifications/initialized");
        using var list = await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":2,"method":"tools/list"}""", headers: ("MCP-Protocol-Version", "2025-11-25"));
        (await list.TextAsync()).ShouldContain("\"initialized\":true");
        _upstream.Count.ShouldBe(1, "one version, one server");
    }

    [Fact]
    public async Task Nothing_is_opened_and_nothing_deleted()
    {
        await using var server = await StartAsync();
        using var get = await server.Client.GetEventsAsync("/mcp", "any");
        get.StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        get.Content.Headers.Allow.ShouldBe(["POST"]);
        (await server.Client.DeleteAsync("/mcp", TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        (await server.Client.GetEventsAsync("/sse")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        _upstream.Count.ShouldBe(0);
    }

    [Theory]
    [InlineData("logging/setLevel", "\"result\":{}")]
    [InlineData("resources/subscribe", "-32601")]
    [InlineData("resources/unsubscribe", "-32601")]
    public async Task What_means_nothing_without_a_session_is_answered_here(string method, string expected)
    {
        await using var server = await StartAsync();
        var message = $$$"""{"jsonrpc":"2.0","id":1,"method":"{{{method}}}","params":{"uri":"a:1","level":"debug"}}""";
        (await (await server.Client.PostAsync("/mcp", message)).TextAsync()).ShouldContain(expected);
        _upstream.Count.ShouldBe(0);
        var batch = await (await server.Client.PostAsync("/mcp", $$"""[{{message}},{"jsonrpc":"2.0","id":2,"method":"tools/list"}]""", accept: "application/json")).TextAsync();
        batch.ShouldStartWith("[");
        batch.ShouldContain(expected);
        batch.ShouldContain("\"id\":2,\"result\"");
        var peer = await _upstream.NextAsync();
        (await peer.NextJsonAsync()).ShouldContain("initialize");
        (await peer.NextJsonAsync()).ShouldContain("initialized");
        (await peer.NextJsonAsync()).ShouldContain("tools/list");
        peer.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Progress_travels_on_the_posts_own_stream()
    {
        await using var server = await StartAsync();
        var (posting, peer, id) = await CallAsync(server);
        await peer.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{id}}},"progress":1}}""");
        using var response = await posting;
        await using var events = response.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await events.NextAsync()).Data.ShouldBe("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}""");
        await peer.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"result":"done"}""");
        (await events.NextAsync()).Data.ShouldBe("""{"jsonrpc":"2.0","id":1,"result":"done"}""");
        (await events.MoveNextAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task A_client_that_hangs_up_cancels()
    {
        await using var server = await StartAsync();
        using var abort = new CancellationTokenSource();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = new StringContent(Call, null, "application/json") };
        request.Headers.TryAddWithoutValidation("Accept", "application/json, text/event-stream");
        var posting = server.Client.SendAsync(request, abort.Token);
        var peer = await StartedAsync();
        var id = IdOf(await peer.NextJsonAsync());
        await abort.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => posting);
        (await peer.NextJsonAsync()).ShouldContain($"\"requestId\":{id}");
    }

    [Fact]
    public async Task The_pool_grows_only_while_all_are_busy_and_only_so_far()
    {
        await using var server = await StartAsync(servers: 2);
        var (first, firstPeer, firstId) = await CallAsync(server);
        var (second, secondPeer, secondId) = await CallAsync(server);
        var third = server.Client.PostAsync("/mcp", Call);
        var thirdId = IdOf(await firstPeer.NextJsonAsync());
        _upstream.Count.ShouldBe(2);
        await firstPeer.SayAsync($$"""{"jsonrpc":"2.0","id":{{thirdId}},"result":"third"}""");
        await firstPeer.SayAsync($$"""{"jsonrpc":"2.0","id":{{firstId}},"result":"first"}""");
        await secondPeer.SayAsync($$"""{"jsonrpc":"2.0","id":{{secondId}},"result":"second"}""");
        (await (await first).TextAsync()).ShouldContain("\"first\"");
        (await (await second).TextAsync()).ShouldContain("\"second\"");
        (await (await third).TextAsync()).ShouldContain("\"third\"");
    }

    [Fact]
    public async Task A_question_is_refused_at_once_and_reaches_nobody()
    {
        await using var server = await StartAsync();
        var (posting, peer, id) = await CallAsync(server);
        await peer.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage"}""");
        (await peer.NextJsonAsync()).ShouldContain("\"id\":\"q\",\"error\":{\"code\":-32601");
        await peer.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"result":"done"}""");
        (await (await posting).TextAsync()).ShouldNotContain("sampling");
    }

    [Fact]
    public async Task A_server_that_dies_is_replaced_by_one_that_is_introduced()
    {
        await using var server = await StartAsync();
        var (posting, peer, _) = await CallAsync(server);
        peer.End(ConnectionEndReason.ChildExited, "it fell over", 1);
        (await (await posting).TextAsync()).ShouldContain("it fell over");
        while (!peer.IsDisposed)
        {
            await Task.Yield();
        }

        (await (await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":2,"method":"tools/list"}""")).TextAsync()).ShouldContain("\"initialized\":true");
    }

    [Fact]
    public async Task A_server_that_refuses_to_initialize_is_an_error_for_each_request()
    {
        var upstream = new FakeUpstream(() => new FakePeer
        {
            Answer = message => $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"error":{"code":-32602,"message":"not like this"}}""",
        });
        await using var server = await TestServer.StartAsync(upstream, new() { SessionMode = SessionMode.Stateless });
        for (var i = 1; i < 3; i++)
        {
            (await (await server.Client.PostAsync("/mcp", $$"""{"jsonrpc":"2.0","id":{{i}},"method":"tools/list"}""")).TextAsync())
                .ShouldBe($$$"""{"jsonrpc":"2.0","id":{{{i}}},"error":{"code":-32602,"message":"not like this"}}""");
        }
    }

    private static string IdOf(string json) =>
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out _) ? message.Id.ToString() : throw new ArgumentException(json, nameof(json));

    private async Task<(Task<HttpResponseMessage> Posting, FakePeer Peer, string Id)> CallAsync(TestServer server)
    {
        var posting = server.Client.PostAsync("/mcp", Call);
        var peer = await StartedAsync();
        return (posting, peer, IdOf(await peer.NextJsonAsync()));
    }

    private async Task<FakePeer> StartedAsync()
    {
        var peer = await _upstream.NextAsync();
        (await peer.NextJsonAsync()).ShouldContain("\"initialize\"");
        (await peer.NextJsonAsync()).ShouldContain("notifications/initialized");
        return peer;
    }

    private Task<TestServer> StartAsync(int servers = 4) => TestServer.StartAsync(_upstream, new() { SessionMode = SessionMode.Stateless, StatelessServers = servers });
}
