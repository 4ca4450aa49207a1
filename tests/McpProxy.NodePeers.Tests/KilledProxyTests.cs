using System.Diagnostics;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>A serving proxy that ends in the middle of a call: its children go with it, and its clients are told.</summary>
public sealed class KilledProxyTests
{
    [Theory, InlineData(LegacyWay.StdioOverSse), InlineData(LegacyWay.StdioOverStreamableHttp)]
    public async Task A_proxy_that_is_killed_leaves_an_error_to_the_proxies_in_front_of_it(LegacyWay way)
    {
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--", .. NodePackages.LegacyServer]);
        var client = scene.LegacyClient("hang", way.RouteTo(proxy));
        var server = await client.ServerAsync();
        scene.Adopt(server);

        proxy.Process.Kill();

        await client.ShouldHearFromTheProxyAsync();
        await ProcessList.GoneAsync(server, "the child of a proxy that is gone");
    }

    [Theory]
    [InlineData(LegacyWay.StdioOverSse)]
    [InlineData(LegacyWay.StdioOverStreamableHttp)]
    [InlineData(LegacyWay.StreamableHttp)]
    [InlineData(LegacyWay.Sse)]
    public async Task A_proxy_that_is_terminated_answers_its_calls_and_takes_its_children_along(LegacyWay way)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There are no signals on Windows.");
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--", .. NodePackages.LegacyServer]);
        var client = scene.LegacyClient("hang", way.RouteTo(proxy));
        var server = await client.ServerAsync();
        scene.Adopt(server);

        await TerminateAsync(proxy.Process);

        await client.ShouldHearFromTheProxyAsync();
        (await proxy.Process.ExitAsync()).ShouldBe(0);
        await ProcessList.GoneAsync(server, "the child of a proxy that is gone");
    }

    [Fact]
    public async Task A_proxy_that_is_terminated_answers_the_calls_of_2026_07_28()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There are no signals on Windows.");
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--", .. NodePackages.ModernServer]);
        var client = scene.ModernClient("hang", Route.StreamableHttp(proxy.StreamableHttpUrl));
        var server = await client.ServerAsync();
        scene.Adopt(server);

        await TerminateAsync(proxy.Process);

        await client.ShouldHearFromTheProxyAsync();
        (await proxy.Process.ExitAsync()).ShouldBe(0);
        await ProcessList.GoneAsync(server, "the child of a proxy that is gone");
    }

    private static async Task TerminateAsync(Peer peer)
    {
        using var kill = Process.Start("kill", ["-TERM", $"{peer.Id}"]);
        await kill.WaitForExitAsync();
    }
}
