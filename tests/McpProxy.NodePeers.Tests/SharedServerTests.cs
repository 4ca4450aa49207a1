using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>The reference servers from npm as one child of many clients (<c>--child shared</c>, <c>--stateless</c>), and the TypeScript SDK 1.x.</summary>
public sealed class SharedServerTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("mcp-proxy-peers-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Theory, InlineData(LegacyWay.StreamableHttp), InlineData(LegacyWay.Sse)]
    public async Task The_everything_server_notices_no_difference(LegacyWay way)
    {
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync("--child", "shared", "--", NodePackages.Node, NodePackages.Program("@modelcontextprotocol/server-everything"), "stdio");

        var client = scene.LegacyClient("everything", way.RouteTo(proxy));

        (await client.StepAsync("echo")).GetString().ShouldBe("Echo: grüße 你好 🎉 \u2028");
        (await client.StepAsync("progress")).GetProperty("progress").Each("progress").Select(progress => progress.GetInt32()).ShouldBe([1, 2, 3]);
        (await client.StepAsync("sampling")).GetString()!.ShouldContain("everything heard: Resource trigger-sampling-request context: hello");
        (await client.StepAsync("elicitation")).GetString()!.ShouldContain("Name: Ada of everything");
        var subscription = await client.StepAsync("subscription");
        subscription.Text("updated").ShouldBe(subscription.Text("uri"));
        (await client.StepAsync("logging")).Text("data").ShouldContain("level", Case.Insensitive);
        (await client.StepAsync("roots")).Text("after").ShouldContain("file:///srv/second");
    }

    [Theory, InlineData("--child", "shared"), InlineData("--stateless", "--stateless-servers=2")]
    public async Task The_file_server_serves_two_clients(params string[] options)
    {
        var file = Path.Combine(_directory.FullName, "file.txt");
        await File.WriteAllTextAsync(file, "shared", TestContext.Current.CancellationToken);
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync([.. options, "--", NodePackages.Node, NodePackages.Program("@modelcontextprotocol/server-filesystem"), _directory.FullName]);

        Peer[] clients = [.. Enumerable.Range(0, 2).Select(_ => scene.LegacyClient("filesystem", Route.StreamableHttp(proxy.StreamableHttpUrl), new { files = new[] { file, file } }))];

        foreach (var client in clients)
        {
            (await client.StepAsync("filesystem")).Texts("texts").ShouldBe(["shared", "shared"]);
        }
    }

    [Theory, InlineData(LegacyWay.StreamableHttp), InlineData(LegacyWay.Sse), InlineData(LegacyWay.StdioOverStreamableHttp)]
    public async Task Progress_and_cancellation_work_on_a_shared_server(LegacyWay way)
    {
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--child", "shared", "--", .. NodePackages.LegacyServer]);
        Peer[] clients = [scene.LegacyClient("whoami", way.RouteTo(proxy)), scene.LegacyClient("whoami", way.RouteTo(proxy))];
        (await clients[0].StepAsync("whoami")).GetRawText().ShouldBe((await clients[1].StepAsync("whoami")).GetRawText(), "one server for both");

        var client = scene.LegacyClient("calls", way.RouteTo(proxy));

        (await client.StepAsync("gate")).GetProperty("progress").GetArrayLength().ShouldBeGreaterThan(0);
        (await client.StepAsync("cancellation")).Text("failure").ShouldContain("changed my mind");
    }

    [Fact]
    public async Task A_killed_shared_server_costs_the_calls_in_flight_and_no_session()
    {
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--child", "shared", "--", .. NodePackages.LegacyServer]);
        var route = Route.StreamableHttp(proxy.StreamableHttpUrl);
        var (bystander, client) = (scene.LegacyClient("idle", route), scene.LegacyClient("hang", route));
        var server = await client.ServerAsync();
        (await bystander.ServerAsync()).ShouldBe(server);

        ProcessList.Kill(server);

        await client.ShouldHearOfAnExitAsync();
        await bystander.TellAsync("again");
        (await bystander.StepAsync("again")).GetProperty("server").GetInt32().ShouldNotBe(server);
        await bystander.TellAsync("close");
        (await bystander.ExitAsync()).ShouldBe(0);
    }
}
