using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

public sealed class LargeMessageTests
{
    private static readonly string s_filler = string.Create(20_000_000, 0, (text, _) => Random.Shared.GetItems("abcdefg", text));

    private readonly FakeUpstream _upstream = new(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_large_request_arrives_whole_with_and_without_a_length(bool isChunked)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        var json = $$$"""{"jsonrpc":"2.0","id":"{{{new string('i', 300)}}}","method":"tools/call","params":{"text":"{{{s_filler}}}"}}""";
        using var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = new StringContent(json, System.Text.Encoding.UTF8, "application/json") };
        request.Headers.TransferEncodingChunked = isChunked;
        request.Headers.Add("Accept", "application/json, text/event-stream");
        request.Headers.Add("Mcp-Session-Id", session);
        var posting = server.Client.SendAsync(request, TestContext.Current.CancellationToken);
        (await peer.NextJsonAsync() == json).ShouldBeTrue();
        await peer.SayAsync($$$"""{"jsonrpc":"2.0","id":"{{{new string('i', 300)}}}","result":"{{{s_filler}}}"}""");
        (await (await posting).TextAsync()).ShouldContain(s_filler);
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_middle_of_a_large_event_can_come_back_for_it()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var (session, peer) = await OpenAsync(server);
        string firstEventId;
        Task answering;
        using (var response = await server.Client.GetEventsAsync("/mcp", session))
        {
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
            firstEventId = (await reader.ReadLineAsync(TestContext.Current.CancellationToken)).ShouldNotBeNull()[4..];
            answering = peer.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"{{{s_filler}}}"}}""");

            // Much has come, and all of it does not fit what lies between the two: nobody reads the rest.
            var some = new char[100_000];
            (await reader.ReadBlockAsync(some, TestContext.Current.CancellationToken)).ShouldBe(some.Length);
            answering.IsCompleted.ShouldBeFalse();
        }

        await answering;
        await using var rest = (await server.Client.GetEventsAsync("/mcp", session, firstEventId)).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        (await rest.NextAsync()).Data.Contains(s_filler, StringComparison.Ordinal).ShouldBeTrue();
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
