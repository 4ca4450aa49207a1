using System.Net;
using System.Security.Claims;
using McpProxy.AspNetCore.Limits;
using McpProxy.Tests;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Limits;

/// <summary>What clients get that ask for too much.</summary>
public sealed class RequestLimitTests
{
    private const string Call = """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""";
    private const string Modern = """{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}""";

    private static readonly (string, string)[] s_modernHeaders = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")];

    private readonly FakeUpstream _upstream = new(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });
    private readonly ManualTime _time = new();

    [Fact]
    public async Task A_session_has_so_many_requests_in_flight_and_no_more()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { Limits = new() { MaxRequestsPerSession = 2 } });
        var session = (await server.Client.PostAsync("/mcp", Http.Initialize)).SessionOf();
        var peer = await _upstream.NextAsync();
        await peer.NextJsonAsync();
        var first = server.Client.PostAsync("/mcp", Call, session);
        var second = server.Client.PostAsync("/mcp", Call.Replace("1,", "2,", StringComparison.Ordinal), session);
        await peer.NextJsonAsync();
        await peer.NextJsonAsync();

        using var refused = await server.Client.PostAsync("/mcp", Call.Replace("1,", "3,", StringComparison.Ordinal), session);
        refused.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        refused.Headers.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(1));
        (await refused.TextAsync()).ShouldStartWith("""{"jsonrpc":"2.0","id":3,"error":{"code":-32000,""");

        // What the server waits for comes in all the same.
        await peer.SayAsync("""{"jsonrpc":"2.0","id":9,"method":"roots/list"}""");
        (await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":9,"result":{"roots":[]}}""", session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await peer.NextJsonAsync()).ShouldContain("roots");

        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        (await first).StatusCode.ShouldBe(HttpStatusCode.OK);
        var third = server.Client.PostAsync("/mcp", Call.Replace("1,", "3,", StringComparison.Ordinal), session);
        (await peer.NextJsonAsync()).ShouldContain("\"id\":3");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":2,"result":{}}""");
        await peer.SayAsync("""{"jsonrpc":"2.0","id":3,"result":{}}""");
        await second;
        await third;
    }

    [Fact]
    public async Task Sse_sessions_have_the_same_limit()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { Limits = new() { MaxRequestsPerSession = 1 } });
        await using var events = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var endpoint = (await events.NextAsync()).Data;
        (await server.Client.PostAsync(endpoint, Call)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await server.Client.PostAsync(endpoint, Call.Replace("1,", "2,", StringComparison.Ordinal))).StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
    }

    [Fact]
    public async Task A_client_is_counted_over_all_its_sessions_and_apart_from_others()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { Gates = [new NamedClients()], Limits = new() { MaxRequestsPerClient = 1 } });
        var one = (await server.Client.PostAsync("/mcp", Http.Initialize, headers: ("X-User", "ann"))).SessionOf();
        var peer = await _upstream.NextAsync();
        await peer.NextJsonAsync();
        var two = (await server.Client.PostAsync("/mcp", Http.Initialize, headers: ("X-User", "ann"))).SessionOf();
        var third = (await server.Client.PostAsync("/mcp", Http.Initialize, headers: ("X-User", "bob"))).SessionOf();
        var call = server.Client.PostAsync("/mcp", Call, one, headers: ("X-User", "ann"));
        await peer.NextJsonAsync();

        (await server.Client.PostAsync("/mcp", Call, two, headers: ("X-User", "ann"))).StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        var bobs = server.Client.PostAsync("/mcp", Call, third, headers: ("X-User", "bob"));
        await _upstream.NextAsync();
        var bobsPeer = await _upstream.NextAsync();
        await bobsPeer.NextJsonAsync();
        (await bobsPeer.NextJsonAsync()).ShouldContain("tools/call");
        await bobsPeer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        (await bobs).StatusCode.ShouldBe(HttpStatusCode.OK);

        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        await call;
    }

    [Fact]
    public async Task Requests_without_a_session_are_counted_for_their_client()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { Limits = new() { MaxRequestsPerClient = 1 } });
        var first = server.Client.PostAsync("/mcp", Modern, headers: s_modernHeaders);
        var peer = await _upstream.NextAsync();
        var sent = await peer.NextJsonAsync();
        (await server.Client.PostAsync("/mcp", Modern, headers: s_modernHeaders)).StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        await peer.SayAsync($$$"""{"jsonrpc":"2.0","id":{{{System.Text.Json.Nodes.JsonNode.Parse(sent)!["id"]}}},"result":{"tools":[]}}""");
        (await first).StatusCode.ShouldBe(HttpStatusCode.OK);
        var second = server.Client.PostAsync("/mcp", Modern, headers: s_modernHeaders);
        await peer.NextJsonAsync();
        _ = second;
    }

    [Fact]
    public async Task A_rate_is_kept_and_says_when_to_come_back()
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { Limits = new() { RequestsPerSecond = 0.5, Burst = 2 } }, _time);
        var session = (await server.Client.PostAsync("/mcp", Http.Initialize)).SessionOf();
        (await server.Client.PostAsync("/mcp", Http.Initialized, session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        using var refused = await server.Client.PostAsync("/mcp", Call, session);
        refused.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        refused.Headers.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(2));
        (await refused.TextAsync()).ShouldContain("--rate-limit");
        (await server.Client.GetEventsAsync("/mcp", session)).StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);

        // Answers have an allowance of their own, which ends too.
        (await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":9,"result":{}}""", session)).StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        _time.Advance(TimeSpan.FromSeconds(1));
        (await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":9,"result":{}}""", session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        _time.Advance(TimeSpan.FromSeconds(1));
        (await server.Client.PostAsync("/mcp", Http.Initialized, session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
    }

    [Theory]
    [InlineData("/mcp")]
    [InlineData("/messages")]
    public async Task What_is_nested_too_deep_is_refused(string path)
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { Limits = new() { MaxJsonDepth = 5 } });
        string? session = null;
        if (path == "/mcp")
        {
            session = (await server.Client.PostAsync("/mcp", Http.Initialize)).SessionOf();
        }

        await using var events = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        path = path == "/mcp" ? path : (await events.NextAsync()).Data;
        using var refused = await server.Client.PostAsync(path, """{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":[[[[1]]]]}}""", session);
        refused.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await refused.TextAsync()).ShouldContain("-32600");
    }

    [Theory]
    [InlineData("192.0.2.1", "192.0.2.1")]
    [InlineData("::ffff:192.0.2.1", "192.0.2.1")]
    [InlineData("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
    public void A_client_without_a_name_is_its_address(string address, string key) =>
        ClientKey.Of(new DefaultHttpContext { Connection = { RemoteIpAddress = IPAddress.Parse(address) } }).ShouldBe(key);

    private sealed class NamedClients : IRequestGate
    {
        public ValueTask<bool> AdmitAsync(HttpContext context)
        {
            context.User = new(new ClaimsIdentity([new("sub", context.Request.Headers["X-User"].ToString())], "test"));
            return ValueTask.FromResult(true);
        }
    }
}
