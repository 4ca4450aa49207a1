using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>Calls that the client gives up, in its own era's way.</summary>
public sealed class BridgedCancellationTests(ITestOutputHelper output, BridgedCells cells) : BridgedTest(output, cells), IClassFixture<BridgedCells>
{
    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Server_hears_of_a_cancelled_call(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);
        var key = TestClient.NewKey("wait");
        var id = new RequestId(TestClient.NewKey("cancelled"));
        using var giveUp = new CancellationTokenSource();
        var call = client.Sdk.SendRequestAsync(
            new() { Id = id, Method = RequestMethods.ToolsCall, Params = new JsonObject { ["name"] = "wait", ["arguments"] = new JsonObject { ["key"] = key } } }, giveUp.Token);
        (await client.TextAsync("has_started", new { key })).ShouldBe("true");

        await client.CancelAsync(id, giveUp, era == Era.Modern && downstream == Transport.StreamableHttp);

        (await client.TextAsync("was_cancelled", new { key })).ShouldBe("true");
        await Should.ThrowAsync<OperationCanceledException>(() => call.Within("the end of the cancelled call"));
        (await client.TextAsync("echo", new { text = "still here" })).ShouldBe("still here");
    }
}
