using System.Net;
using System.Text;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

/// <summary>A session belongs to who opened it: its id is of no use to anybody else.</summary>
public sealed class PrincipalTests
{
    private const string List = """{"jsonrpc":"2.0","id":1,"method":"tools/list"}""";

    private readonly FakeUpstream _upstream = new(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });

    [Theory]
    [InlineData("mallory")]
    [InlineData("ALICE")]
    [InlineData(null)]
    public async Task To_everybody_else_a_session_does_not_exist(string? other)
    {
        await using var server = await StartAsync();
        using var opened = await SendAsync(server, HttpMethod.Post, "/mcp", "alice", body: Http.Initialize);
        await opened.TextAsync();
        var session = opened.SessionOf();
        var peer = await _upstream.NextAsync();
        await peer.NextJsonAsync();
        foreach (var (method, body) in ((HttpMethod, string?)[])[(HttpMethod.Post, List), (HttpMethod.Post, Http.Initialized), (HttpMethod.Get, null), (HttpMethod.Delete, null)])
        {
            using var refused = await SendAsync(server, method, "/mcp", other, session, body);
            refused.StatusCode.ShouldBe(HttpStatusCode.NotFound, $"{method}");
            (await refused.TextAsync()).ShouldContain("\"error\"");
        }

        peer.HasNothingMore.ShouldBeTrue();
        using var hers = await SendAsync(server, HttpMethod.Post, "/mcp", "alice", session, Http.Initialized);
        hers.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await peer.NextJsonAsync()).ShouldBe(Http.Initialized);
    }

    [Fact]
    public async Task A_session_that_nobody_owns_is_not_for_those_who_have_signed_in()
    {
        await using var server = await StartAsync();
        using var opened = await SendAsync(server, HttpMethod.Post, "/mcp", null, body: Http.Initialize);
        await opened.TextAsync();
        using var refused = await SendAsync(server, HttpMethod.Post, "/mcp", "mallory", opened.SessionOf(), Http.Initialized);
        refused.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Nobody_else_can_post_to_an_event_stream()
    {
        await using var server = await StartAsync();
        using var opened = await SendAsync(server, HttpMethod.Get, "/sse", "alice");
        await using var events = opened.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var endpoint = (await events.NextAsync()).Data;
        var peer = await _upstream.NextAsync();
        foreach (var other in new[] { "mallory", null })
        {
            using var refused = await SendAsync(server, HttpMethod.Post, endpoint, other, body: List);
            refused.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        using var hers = await SendAsync(server, HttpMethod.Post, endpoint, "alice", body: Http.Initialized);
        hers.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await peer.NextJsonAsync()).ShouldBe(Http.Initialized);
        peer.HasNothingMore.ShouldBeTrue();
    }

    private static async Task<HttpResponseMessage> SendAsync(TestServer server, HttpMethod method, string path, string? user, string? session = null, string? body = null)
    {
        using var request = new HttpRequestMessage(method, path);
        request.Headers.TryAddWithoutValidation("Accept", method == HttpMethod.Get ? "text/event-stream" : "application/json, text/event-stream");
        if (body is not null)
        {
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        }

        foreach (var (name, value) in new[] { ("X-User", user), ("Mcp-Session-Id", session) })
        {
            if (value is not null)
            {
                request.Headers.Add(name, value);
            }
        }

        return await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
    }

    private Task<TestServer> StartAsync() => TestServer.StartAsync(_upstream, new() { Gates = [new HeaderGate()] });
}
