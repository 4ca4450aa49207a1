using System.Net;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests;

/// <summary>The server half of HTTP+SSE, over real sockets.</summary>
public sealed class SseEndpointTests
{
    private readonly FakeUpstream _upstream = new(() => new FakePeer());

    [Fact]
    public async Task Messages_go_out_on_the_stream_and_come_in_by_post()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        await using var events = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var endpoint = await events.NextAsync();
        endpoint.EventType.ShouldBe("endpoint");
        endpoint.Data.ShouldStartWith("/messages?sessionId=");
        (await server.Client.PostAsync(endpoint.Data, Http.Initialize)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        var peer = await _upstream.NextAsync();
        (await peer.NextJsonAsync()).ShouldBe(Http.Initialize);
        await peer.SayAsync(Http.InitializeResult.Replace(",", ",\n", StringComparison.Ordinal));
        var message = await events.NextAsync();
        message.EventType.ShouldBe("message");
        message.Data.ShouldBe(Http.InitializeResult.Replace(",", ", ", StringComparison.Ordinal));
        (await server.Client.PostAsync(endpoint.Data, "garbage")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
    }

    [Fact]
    public async Task Two_clients_do_not_see_each_others_messages()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        await using var first = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var firstEndpoint = (await first.NextAsync()).Data;
        await using var second = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var secondEndpoint = (await second.NextAsync()).Data;
        firstEndpoint.ShouldNotBe(secondEndpoint);
        var (firstPeer, secondPeer) = (await _upstream.NextAsync(), await _upstream.NextAsync());
        await secondPeer.SayAsync("""{"jsonrpc":"2.0","method":"for/two"}""");
        await firstPeer.SayAsync("""{"jsonrpc":"2.0","method":"for/one"}""");
        (await first.NextAsync()).Data.ShouldContain("for/one");
        (await second.NextAsync()).Data.ShouldContain("for/two");
    }

    [Theory]
    [InlineData("/messages", HttpStatusCode.BadRequest)]
    [InlineData("/messages?sessionId=unknown", HttpStatusCode.NotFound)]
    public async Task A_post_without_a_session_is_refused(string path, HttpStatusCode status)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        (await server.Client.PostAsync(path, Http.Initialize)).StatusCode.ShouldBe(status);
    }

    [Theory]
    [InlineData("https://public.example/prefix/", "/prefix/messages?")]
    [InlineData("/prefix", "/prefix/messages?")]
    public async Task The_endpoint_is_what_clients_see_behind_a_reverse_proxy(string baseUrl, string expected)
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { BaseUrl = new Uri(baseUrl, UriKind.RelativeOrAbsolute) });
        await using var events = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await events.NextAsync()).Data.ShouldStartWith(expected);
    }

    [Fact]
    public async Task A_message_on_its_way_to_a_session_that_ends_is_told_so()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        Task<HttpResponseMessage> posted;
        await using (var events = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken))
        {
            var endpoint = (await events.NextAsync()).Data;
            var peer = await _upstream.NextAsync();
            peer.Readable = new TaskCompletionSource().Task;
            posted = server.Client.PostAsync(endpoint, Http.Initialize);
            await peer.BeingSentAsync();
        }

        (await posted).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task The_session_ends_with_its_stream()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        FakePeer peer;
        using (var response = await server.Client.GetEventsAsync("/sse"))
        {
            await using var events = response.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
            await events.NextAsync();
            peer = await _upstream.NextAsync();
        }

        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!peer.IsDisposed || server.SessionCount > 0)
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}
