using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>A client that ends, in one way or another: nothing that was started for it may stay.</summary>
public sealed class KilledClientTests
{
    [Theory]
    [InlineData(LegacyWay.Stdio, "idle")]
    [InlineData(LegacyWay.StdioOverSse, "idle")]
    [InlineData(LegacyWay.StdioOverStreamableHttp, "idle")]
    [InlineData(LegacyWay.Sse, "idle")]
    [InlineData(LegacyWay.Stdio, "hang")]
    [InlineData(LegacyWay.StdioOverSse, "hang")]
    [InlineData(LegacyWay.StdioOverStreamableHttp, "hang")]
    [InlineData(LegacyWay.Sse, "hang")]
    public async Task A_killed_client_leaves_no_process_behind(LegacyWay way, string scenario)
    {
        await using var scene = new Scene();
        var client = scene.LegacyClient(scenario, await way.OpenAsync(scene, NodePackages.LegacyServer));
        var server = await client.ServerAsync();
        scene.Adopt(server);
        int? proxy = (await client.EventAsync("connected")).TryGetProperty("proxy", out var started) ? started.GetInt32() : null;
        if (proxy is not null)
        {
            scene.Adopt(proxy.Value);
        }

        client.Kill();

        await ProcessList.GoneAsync(server, "the child of a client that is gone");
        if (proxy is not null)
        {
            await ProcessList.GoneAsync(proxy.Value, "the proxy of a client that is gone");
        }
    }

    [Theory, InlineData("idle"), InlineData("hang")]
    public async Task A_killed_client_of_Streamable_HTTP_leaves_no_process_behind_its_session(string scenario)
    {
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--session-idle-timeout", "1", "--", .. NodePackages.LegacyServer]);
        var client = scene.LegacyClient(scenario, Route.StreamableHttp(proxy.StreamableHttpUrl));
        var server = await client.ServerAsync();

        client.Kill();

        // It may come back until its session has been idle for too long, and that is looked at every few seconds.
        await ProcessList.GoneAsync(server, "the child of a client that is gone", TimeSpan.FromSeconds(15));
    }

    [Theory]
    [InlineData(LegacyWay.Stdio)]
    [InlineData(LegacyWay.StdioOverSse)]
    [InlineData(LegacyWay.StdioOverStreamableHttp)]
    [InlineData(LegacyWay.StreamableHttp)]
    [InlineData(LegacyWay.Sse)]
    public async Task A_client_that_closes_leaves_no_process_behind(LegacyWay way)
    {
        await using var scene = new Scene();
        var client = scene.LegacyClient("idle", await way.OpenAsync(scene, NodePackages.LegacyServer));
        var server = await client.ServerAsync();
        scene.Adopt(server);

        await client.TellAsync("again");
        await client.TellAsync("close");

        (await client.ExitAsync()).ShouldBe(0);
        await ProcessList.GoneAsync(server, "the child of a client that has closed");
    }

    [Fact]
    public async Task A_killed_client_of_2026_07_28_cancels_its_call_and_leaves_the_child_to_others()
    {
        await using var scene = new Scene();
        var route = Route.StreamableHttp((await scene.ServeAsync(["--", .. NodePackages.ModernServer])).StreamableHttpUrl);
        var witness = scene.ModernClient("witness", route);
        var client = scene.ModernClient("hang", route);
        (await client.ServerAsync()).ShouldBe(await witness.ServerAsync());

        client.Kill();
        await witness.TellAsync("cancelled");

        (await witness.StepAsync("cancelled")).GetString().ShouldBe("cancelled hang");
        (await witness.ExitAsync()).ShouldBe(0);
    }
}
