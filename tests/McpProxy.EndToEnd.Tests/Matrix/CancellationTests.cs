using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>Calls that the client gives up.</summary>
public sealed class CancellationTests(ITestOutputHelper output, Cells cells) : MatrixTest(output, cells)
{
    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Server_hears_of_a_cancelled_call(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);
        var key = TestClient.NewKey("wait");
        var id = new RequestId(TestClient.NewKey("cancelled"));
        using var giveUp = new CancellationTokenSource();
        var call = client.Sdk.SendRequestAsync(
            new() { Id = id, Method = RequestMethods.ToolsCall, Params = new JsonObject { ["name"] = "wait", ["arguments"] = new JsonObject { ["key"] = key } } }, giveUp.Token);
        (await client.TextAsync("has_started", new { key })).ShouldBe("true");

        await client.CancelAsync(id, giveUp, era == Era.Modern && downstream == Transport.StreamableHttp);

        (await client.TextAsync("was_cancelled", new { key })).ShouldBe("true");
        await Should.ThrowAsync<OperationCanceledException>(() => call.Within("the end of the cancelled call"));
        client.Received.OfType<JsonRpcResponse>().Count(response => response.Id.Equals(id)).ShouldBe(0, "what was cancelled is not answered");
        (await client.TextAsync("echo", new { text = "still here" })).ShouldBe("still here");
    }
}
