using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>A server that dies in the middle of a call: its client is told, and nobody else notices.</summary>
public sealed class KilledServerTests
{
    [Theory]
    [InlineData(LegacyWay.Stdio)]
    [InlineData(LegacyWay.StdioOverSse)]
    [InlineData(LegacyWay.StdioOverStreamableHttp)]
    [InlineData(LegacyWay.StreamableHttp)]
    [InlineData(LegacyWay.Sse)]
    public async Task A_killed_child_ends_its_call_with_an_error(LegacyWay way)
    {
        await using var scene = new Scene();
        var client = scene.LegacyClient("hang", await way.OpenAsync(scene, NodePackages.LegacyServer));

        ProcessList.Kill(await client.ServerAsync());

        await client.ShouldHearOfAnExitAsync();
    }

    [Theory, InlineData(LegacyWay.StreamableHttp), InlineData(LegacyWay.Sse)]
    public async Task A_killed_child_leaves_other_sessions_alone(LegacyWay way)
    {
        await using var scene = new Scene();
        var route = await way.OpenAsync(scene, NodePackages.LegacyServer);
        var bystander = scene.LegacyClient("idle", route);
        var client = scene.LegacyClient("hang", route);
        var itsServer = await bystander.ServerAsync();

        ProcessList.Kill(await client.ServerAsync());
        await client.ShouldHearOfAnExitAsync();
        await bystander.TellAsync("again");

        (await bystander.StepAsync("again")).GetProperty("server").GetInt32().ShouldBe(itsServer);
        await bystander.TellAsync("close");
        (await bystander.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_killed_child_of_2026_07_28_ends_its_call_over_stdio()
    {
        await using var scene = new Scene();
        var client = scene.ModernClient("hang", Route.ThroughProxy(["--", .. NodePackages.ModernServer]));

        ProcessList.Kill(await client.ServerAsync());

        await client.ShouldHearOfAnExitAsync();
    }

    [Fact]
    public async Task A_killed_child_of_2026_07_28_ends_the_calls_of_all_its_clients_and_is_replaced()
    {
        await using var scene = new Scene();
        var route = Route.StreamableHttp((await scene.ServeAsync(["--", .. NodePackages.ModernServer])).StreamableHttpUrl);
        Peer[] clients = [scene.ModernClient("hang", route), scene.ModernClient("hang", route)];
        var server = await clients[0].ServerAsync();
        (await clients[1].ServerAsync()).ShouldBe(server);

        ProcessList.Kill(server);

        var replacements = new List<int>();
        foreach (var client in clients)
        {
            await client.ShouldHearOfAnExitAsync();
            await client.TellAsync("again");
            replacements.Add((await client.StepAsync("again")).GetProperty("server").GetInt32());
            await client.TellAsync("close");
            (await client.ExitAsync()).ShouldBe(0);
        }

        replacements.Distinct().ShouldHaveSingleItem().ShouldNotBe(server);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_killed_HTTP_server_ends_its_call_with_an_error(bool overHttp)
    {
        await using var scene = new Scene();
        var url = await scene.ModernServerAsync();
        var client = scene.ModernClient("hang", overHttp ? Route.StreamableHttp((await scene.ServeAsync(url)).StreamableHttpUrl) : Route.ThroughProxy(url));

        ProcessList.Kill(await client.ServerAsync());

        await client.ShouldHearFromTheProxyAsync();
    }
}
