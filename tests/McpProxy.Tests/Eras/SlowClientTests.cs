using System.Text.Json.Nodes;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>Clients that share a session with a legacy server, and one of them does not read.</summary>
public sealed class SlowClientTests : BridgeTest
{
    private readonly TaskCompletionSource _reads = new();

    public SlowClientTests() => OnMessage = message =>
        message.Is("server/discover"u8) ? $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"error":{"code":-32601,"message":"no"} }"""
        : message.Is("initialize"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.InitializeResult}}}"""
        : null;

    [Fact]
    public async Task Slow_client_holds_up_no_other_and_gets_all_of_its_own_in_order()
    {
        var (slow, slowCall, server) = await CallAsync();
        var quick = Connect("alice");
        await quick.SayAsync(Wire.ModernCall(2));
        var quickCall = await NextAsync(server);

        for (var i = 1; i <= 3; i++)
        {
            await ProgressAsync(server, slowCall, i);
        }

        await server.SayAsync(Wire.Result(slowCall, "{}"));
        await server.SayAsync(Wire.Result(quickCall["id"], "{}"));
        (await quick.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(2);
        Bridge.SessionCount.ShouldBe(1, "they share it");

        _reads.SetResult();
        for (var i = 1; i <= 3; i++)
        {
            (await slow.NextObjectAsync())["params"]!["progress"]!.GetValue<int>().ShouldBe(i);
        }

        (await slow.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(1);
    }

    [Fact]
    public async Task Call_of_a_client_that_reads_nothing_at_all_is_given_up()
    {
        var (slow, slowCall, server) = await CallAsync();

        for (var i = 1; i <= 10_100; i++)
        {
            await ProgressAsync(server, slowCall, i);
        }

        (await NextAsync(server))["params"]!["requestId"]!.ToJsonString().ShouldBe(slowCall!.ToJsonString());
        await server.SayAsync(Wire.Result(slowCall, "{}"));
        _reads.SetResult();
        var message = await slow.NextObjectAsync();
        while (message["id"] is null)
        {
            message["params"]!["progress"]!.GetValue<int>().ShouldBe(1, "what was on its way, and no more");
            message = await slow.NextObjectAsync();
        }

        message["error"]!["message"]!.GetValue<string>().ShouldContain("too slowly");
        slow.HasNothingMore.ShouldBeTrue();
    }

    private static Task ProgressAsync(FakePeer server, JsonNode? call, int progress) =>
        server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{call!.ToJsonString()}}},"progress":{{{progress}}}}}""");

    /// <summary>A call of a client that does not read the rest until it is told to.</summary>
    private async Task<(BridgeClient Client, JsonNode? Call, FakePeer Server)> CallAsync()
    {
        var client = Connect("alice");
        await client.SayAsync(Wire.Discover);
        await client.NextAsync();
        client.Readable = _reads.Task;
        await client.SayAsync(Wire.ModernCall(1, meta: ",\"progressToken\":\"p\""));
        var server = await Upstream.NextAsync();
        return (client, (await NextAsync(server))["id"], server);
    }
}
