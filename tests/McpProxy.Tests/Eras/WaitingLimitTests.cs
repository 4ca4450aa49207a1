using System.Text.Json.Nodes;
using McpProxy.Eras;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>More calls than may wait for their clients at once.</summary>
public sealed class WaitingLimitTests : BridgeTest
{
    public WaitingLimitTests()
    {
        HasRequestStreams = true;
        OnMessage = message => message.Is("server/discover"u8) ? $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"error":{"code":-32601,"message":"no"} }"""
            : message.Is("initialize"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.InitializeResult}}}"""
            : null;
    }

    [Fact]
    public async Task Server_is_told_that_no_more_clients_can_be_asked_and_room_comes_back()
    {
        var client = Connect("alice");
        var state = "";
        FakePeer? server = null;
        for (var i = 1; i <= 2; i++)
        {
            await client.SayAsync(Wire.ModernCall(i));
            server ??= await Upstream.NextAsync();
            await AskAsync(server, await NextAsync(server), i);
            Time.Advance(TimeSpan.FromMilliseconds(10));
            state = (await client.NextObjectAsync())["result"]!["requestState"]!.GetValue<string>();
        }

        await client.SayAsync(Wire.ModernCall(3));
        var third = await NextAsync(server!);
        await AskAsync(server!, third, 3);
        var refusal = JsonNode.Parse(await server!.NextJsonAsync())!;
        refusal["id"]!.GetValue<int>().ShouldBe(3);
        refusal["error"]!["message"]!.GetValue<string>().ShouldContain("too many calls wait for input");
        await server.SayAsync(Wire.Result(third["id"], "{}"));
        (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(3, "the call itself goes on");

        await client.SayAsync(Wire.ModernCall(4, $",\"requestState\":\"{state}\",\"inputResponses\":{{\"q1\":{{\"roots\":[]}}}}"));
        (await server.NextJsonAsync()).ShouldContain("roots");
        await client.SayAsync(Wire.ModernCall(5));
        await AskAsync(server, await NextAsync(server), 5);
        Time.Advance(TimeSpan.FromMilliseconds(10));
        (await client.NextObjectAsync())["result"]!["resultType"]!.GetValue<string>().ShouldBe("input_required");
    }

    private protected override EraBridgeOptions Options() => new() { MaxWaitingCalls = 2 };

    private static Task AskAsync(FakePeer server, JsonObject call, int id) =>
        server.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"method":"roots/list"}""", JsonRpcId.FromNumber(call["id"]!.GetValue<int>()));
}
