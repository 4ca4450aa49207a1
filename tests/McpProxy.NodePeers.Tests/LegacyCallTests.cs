using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>Progress that a call waits for, and a cancellation, whatever lies between client and server.</summary>
public sealed class LegacyCallTests
{
    [Theory]
    [InlineData(LegacyWay.Stdio)]
    [InlineData(LegacyWay.StdioOverSse)]
    [InlineData(LegacyWay.StdioOverStreamableHttp)]
    [InlineData(LegacyWay.StreamableHttp)]
    [InlineData(LegacyWay.Sse)]
    public async Task Progress_and_cancellation_get_through(LegacyWay way)
    {
        await using var scene = new Scene();

        await ShouldGetThroughAsync(scene.LegacyClient("calls", await way.OpenAsync(scene, NodePackages.LegacyServer)));
    }

    [Theory, InlineData(LegacyWay.Stdio), InlineData(LegacyWay.StdioOverStreamableHttp), InlineData(LegacyWay.StreamableHttp)]
    public async Task A_client_that_tries_the_modern_era_first_gets_it_of_a_legacy_server(LegacyWay way)
    {
        await using var scene = new Scene();
        var client = scene.ModernClient("auto", await way.OpenAsync(scene, NodePackages.LegacyServer));

        var saw = await client.StepAsync("auto");

        saw.Text("text").ShouldBe("either way");
        saw.Text("era").ShouldBe("modern");
    }

    /// <summary>Checks what a client with the scenario "calls" has seen.</summary>
    internal static async Task ShouldGetThroughAsync(Peer client)
    {
        var gate = await client.StepAsync("gate");
        gate.Text("text").ShouldBe("through");
        gate.GetProperty("progress").Each("message").Select(message => message.GetString()).ShouldBe(["at the gate", "through the gate"]);

        var cancellation = await client.StepAsync("cancellation");
        cancellation.Text("failure").ShouldContain("changed my mind");
        cancellation.Text("server").ShouldBe("cancelled");

        (await client.ExitAsync()).ShouldBe(0);
    }
}
