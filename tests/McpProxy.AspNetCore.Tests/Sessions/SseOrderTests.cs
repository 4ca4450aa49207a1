using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Sessions;

public sealed class SseOrderTests
{
    [Fact]
    public async Task Even_a_server_that_has_something_to_say_already_does_not_overtake_the_endpoint_event()
    {
        var upstream = new FakeUpstream(() =>
        {
            var peer = new FakePeer();
            _ = peer.SayAsync("""{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"I am up"}}""");
            return peer;
        });
        await using var server = await TestServer.StartAsync(upstream);
        for (var i = 0; i < 20; i++)
        {
            using var stream = await server.Client.GetEventsAsync("/sse");
            await using var events = stream.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
            (await events.NextAsync()).EventType.ShouldBe("endpoint");
            (await events.NextAsync()).Data.ShouldContain("I am up");
        }
    }
}
