using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>
/// nginx in front of the serving proxy, at a path of its own. It keeps answers back by default; a call that cannot end before
/// the client has seen its progress shows that these are not kept back.
/// </summary>
public sealed class NginxTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("mcp-proxy-nginx-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Theory, InlineData("/tools"), InlineData("https://example.com/tools")]
    public async Task A_session_over_SSE_survives(string baseUrl)
    {
        await using var scene = new Scene();
        var address = await ServeLegacyAsync(scene, baseUrl);

        await LegacyCallTests.ShouldGetThroughAsync(scene.LegacyClient("calls", Route.Sse($"{address}/sse")));
    }

    [Fact]
    public async Task A_call_over_Streamable_HTTP_survives()
    {
        await using var scene = new Scene();
        var address = await ServeLegacyAsync(scene, "/tools");

        await LegacyCallTests.ShouldGetThroughAsync(scene.LegacyClient("calls", Route.StreamableHttp($"{address}/mcp")));
    }

    [Theory, InlineData("/sse"), InlineData("/mcp")]
    public async Task So_do_those_of_a_proxy_that_turns_them_back_into_stdio(string path)
    {
        await using var scene = new Scene();
        var address = await ServeLegacyAsync(scene, "/tools");

        await LegacyCallTests.ShouldGetThroughAsync(scene.LegacyClient("calls", Route.ThroughProxy(address + path)));
    }

    [Fact]
    public async Task Calls_and_subscriptions_of_2026_07_28_survive()
    {
        Nginx.Need();
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--base-url", "/tools", "--", .. NodePackages.ModernServer]);
        var address = await Nginx.StartAsync(scene, "/tools", proxy.Origin, _directory);

        var client = scene.ModernClient("modern", Route.StreamableHttp($"{address}/mcp"));

        (await client.StepAsync("progress")).Text("text").ShouldStartWith("through modern");
        (await client.StepAsync("subscription")).GetProperty("updates").GetArrayLength().ShouldBe(1);
        (await client.StepAsync("cancellation")).Text("server").ShouldStartWith("cancelled modern");
    }

    private async Task<string> ServeLegacyAsync(Scene scene, string baseUrl)
    {
        Nginx.Need();
        var proxy = await scene.ServeAsync(["--base-url", baseUrl, "--", .. NodePackages.LegacyServer]);
        return await Nginx.StartAsync(scene, "/tools", proxy.Origin, _directory);
    }
}
