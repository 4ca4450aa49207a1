using System.Net;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

/// <summary>An endpoint that is about to end: what is in flight is answered first.</summary>
public sealed class DrainTests
{
    private const string Call = """{"jsonrpc":"2.0","id":1,"method":"tools/call"}""";
    private static readonly TimeSpan s_long = TimeSpan.FromMinutes(1);

    private readonly FakeUpstream _upstream = new(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });

    [Fact]
    public async Task What_is_in_flight_is_answered_and_what_is_new_refused()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        using var stream = await server.Client.GetEventsAsync("/mcp", session);
        await using var own = stream.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var posting = server.Client.PostAsync("/mcp", Call, session);
        await peer.NextJsonAsync();
        await peer.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}""");

        var draining = server.DrainAsync(s_long);

        foreach (var refused in (HttpResponseMessage[])
            [
                await server.Client.PostAsync("/mcp", Http.Initialize),
                await server.Client.PostAsync("/mcp", Call.Replace(":1,", ":2,", StringComparison.Ordinal), session),
                await server.Client.GetEventsAsync("/mcp", session),
                await server.Client.GetEventsAsync("/sse"),
            ])
        {
            refused.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
            refused.Headers.RetryAfter.ShouldNotBeNull();
            (await refused.TextAsync()).ShouldContain("shutting down");
            refused.Dispose();
        }

        // The call waits for the client's answer, which must come through.
        (await server.Client.PostAsync("/mcp", """{"jsonrpc":"2.0","id":"q","result":{}}""", session)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await peer.NextJsonAsync()).ShouldContain("\"id\":\"q\"");
        draining.IsCompleted.ShouldBeFalse();
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"in time"}""");
        (await (await posting).TextAsync()).ShouldContain("in time");
        await draining.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);

        peer.IsDisposed.ShouldBeFalse();
        await server.DisposeWithoutClientAsync();
        (await own.MoveNextAsync()).ShouldBeFalse("the stream ends in order");
        peer.IsDisposed.ShouldBeTrue();
    }

    [Fact]
    public async Task What_is_never_answered_delays_the_end_no_longer_than_allowed()
    {
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(_upstream, time: time);
        var (session, peer) = await OpenAsync(server);
        var posting = server.Client.PostAsync("/mcp", Call, session);
        await peer.NextJsonAsync();
        var draining = server.DrainAsync(s_long);
        draining.IsCompleted.ShouldBeFalse();
        time.Advance(s_long + s_long);
        await draining.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        await server.DisposeWithoutClientAsync();
        (await (await posting).TextAsync()).ShouldContain("\"id\":1,\"error\"");
    }

    [Fact]
    public async Task An_event_stream_delivers_the_last_answer_and_ends_in_order()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        using var stream = await server.Client.GetEventsAsync("/sse");
        await using var events = stream.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        var endpoint = (await events.NextAsync()).Data;
        var peer = await _upstream.NextAsync();
        await server.Client.PostAsync(endpoint, Call);
        await peer.NextJsonAsync();
        var draining = server.DrainAsync(s_long);
        (await server.Client.PostAsync(endpoint, Call.Replace(":1,", ":2,", StringComparison.Ordinal))).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        draining.IsCompleted.ShouldBeFalse();
        await peer.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"in time"}""");
        (await events.NextAsync()).Data.ShouldContain("in time");
        await draining.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        await server.DisposeWithoutClientAsync();
        (await events.MoveNextAsync()).ShouldBeFalse();
    }

    private async Task<(string Session, FakePeer Peer)> OpenAsync(TestServer server)
    {
        var response = await server.Client.PostAsync("/mcp", Http.Initialize);
        (await response.TextAsync()).ShouldBe(Http.InitializeResult);
        var peer = await _upstream.NextAsync();
        await peer.NextJsonAsync();
        return (response.SessionOf(), peer);
    }
}
