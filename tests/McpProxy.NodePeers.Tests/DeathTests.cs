using System.Diagnostics;
using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>What is left when one of the processes is killed, mostly in the middle of a call.</summary>
public sealed class DeathTests
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(5);

    public enum Way
    {
        Stdio,
        StdioOverSse,
        StdioOverStreamableHttp,
        StreamableHttp,
        Sse,
    }

    private static string[] LegacyServer => ["--", NodePackages.Node, NodePackages.Script("server-v1.mjs")];

    private static string[] ModernServer => ["--", NodePackages.Node, NodePackages.Script("server-v2.mjs")];

    [Theory, InlineData(Way.Stdio), InlineData(Way.StdioOverSse), InlineData(Way.StdioOverStreamableHttp), InlineData(Way.StreamableHttp), InlineData(Way.Sse)]
    public async Task A_killed_child_ends_its_call_with_an_error(Way way)
    {
        await using var scene = new Scene();
        var client = scene.LegacyClient("hang", await OpenAsync(scene, way));

        Kill(await ServerOfAsync(client, "hanging"));

        ShouldBlameTheServer(await client.EventAsync("failure"));
    }

    [Theory, InlineData(Way.StreamableHttp), InlineData(Way.Sse)]
    public async Task A_killed_child_leaves_other_sessions_alone(Way way)
    {
        await using var scene = new Scene();
        var route = await OpenAsync(scene, way);
        var bystander = scene.LegacyClient("idle", route);
        await bystander.EventAsync("idle");
        var client = scene.LegacyClient("hang", route);

        Kill(await ServerOfAsync(client, "hanging"));
        await client.EventAsync("failure");
        await bystander.TellAsync("again");

        (await bystander.StepAsync("again")).GetString().ShouldBe("still here");
        await bystander.TellAsync("close");
        (await bystander.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_killed_child_of_2026_07_28_ends_the_calls_of_all_and_is_replaced()
    {
        await using var scene = new Scene();
        var route = Route.StreamableHttp((await scene.ServeAsync(ModernServer)).StreamableHttpUrl);
        Peer[] clients = [scene.ModernClient("hang", route), scene.ModernClient("hang", route)];
        var server = await ServerOfAsync(clients[0], "hanging");
        (await ServerOfAsync(clients[1], "hanging")).ShouldBe(server);

        Kill(server);

        var replacements = new List<int>();
        foreach (var client in clients)
        {
            ShouldBlameTheServer(await client.EventAsync("failure"));
            await client.TellAsync("again");
            replacements.Add((await client.StepAsync("again")).GetProperty("pid").GetInt32());
            await client.TellAsync("close");
            (await client.ExitAsync()).ShouldBe(0);
        }

        replacements.Distinct().ShouldHaveSingleItem().ShouldNotBe(server);
    }

    [Fact]
    public async Task A_killed_child_of_2026_07_28_ends_its_call_over_stdio()
    {
        await using var scene = new Scene();
        var client = scene.ModernClient("hang", Route.ThroughProxy(ModernServer));

        Kill(await ServerOfAsync(client, "hanging"));

        ShouldBlameTheServer(await client.EventAsync("failure"));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_killed_HTTP_server_ends_its_call_with_an_error(bool overHttp)
    {
        await using var scene = new Scene();
        var url = await scene.ModernServerAsync();
        var client = scene.ModernClient("hang", overHttp ? Route.StreamableHttp((await scene.ServeAsync(url)).StreamableHttpUrl) : Route.ThroughProxy(url));

        Kill(await ServerOfAsync(client, "hanging"));

        ShouldComeFromTheProxy(await client.EventAsync("failure"));
    }

    [Theory, InlineData(Way.StdioOverSse), InlineData(Way.StdioOverStreamableHttp)]
    public async Task A_killed_gateway_ends_its_call_with_an_error(Way way)
    {
        await using var scene = new Scene();
        var gateway = await scene.ServeAsync(LegacyServer);
        var client = scene.LegacyClient("hang", Route.ThroughProxy(way == Way.StdioOverSse ? gateway.SseUrl : gateway.StreamableHttpUrl));
        var server = await ServerOfAsync(client, "hanging");
        scene.Adopt(server);

        gateway.Process.Kill();

        ShouldComeFromTheProxy(await client.EventAsync("failure"));
        await ProcessList.GoneAsync(server, "the child of the killed gateway", s_soon);
    }

    [Theory]
    [InlineData(Way.Stdio, "idle"), InlineData(Way.StdioOverSse, "idle"), InlineData(Way.StdioOverStreamableHttp, "idle"), InlineData(Way.Sse, "idle")]
    [InlineData(Way.Stdio, "hang"), InlineData(Way.StdioOverSse, "hang"), InlineData(Way.StdioOverStreamableHttp, "hang"), InlineData(Way.Sse, "hang")]
    public async Task A_killed_client_leaves_no_process_behind(Way way, string scenario)
    {
        await using var scene = new Scene();
        var client = scene.LegacyClient(scenario, await OpenAsync(scene, way));
        var server = await ServerOfAsync(client, scenario == "hang" ? "hanging" : "idle");
        scene.Adopt(server);
        var proxy = (await client.EventAsync("connected")).TryGetProperty("pid", out var pid) ? pid.GetInt32() : (int?)null;
        if (proxy is { } adopted)
        {
            scene.Adopt(adopted);
        }

        client.Kill();

        await ProcessList.GoneAsync(server, "the child of a client that is gone", s_soon);
        if (proxy is { } orphan)
        {
            await ProcessList.GoneAsync(orphan, "the proxy of a client that is gone", s_soon);
        }
    }

    [Theory, InlineData("idle"), InlineData("hang")]
    public async Task A_killed_client_of_Streamable_HTTP_leaves_no_process_behind_when_its_session_was_idle(string scenario)
    {
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync(["--session-idle-timeout", "1", .. LegacyServer]);
        var client = scene.LegacyClient(scenario, Route.StreamableHttp(proxy.StreamableHttpUrl));
        var server = await ServerOfAsync(client, scenario == "hang" ? "hanging" : "idle");

        client.Kill();

        // The client may come back until the session has been idle for too long, which is looked at every few seconds.
        await ProcessList.GoneAsync(server, "the child of a client that is gone", 3 * s_soon);
    }

    [Theory, InlineData(Way.Stdio), InlineData(Way.StdioOverSse), InlineData(Way.StdioOverStreamableHttp), InlineData(Way.StreamableHttp), InlineData(Way.Sse)]
    public async Task A_client_that_closes_leaves_no_process_behind(Way way)
    {
        await using var scene = new Scene();
        var client = scene.LegacyClient("idle", await OpenAsync(scene, way));
        var server = await ServerOfAsync(client, "idle");
        scene.Adopt(server);

        await client.TellAsync("again");
        await client.TellAsync("close");

        (await client.ExitAsync()).ShouldBe(0);
        await ProcessList.GoneAsync(server, "the child of a client that has closed", s_soon);
    }

    [Fact]
    public async Task A_killed_client_of_2026_07_28_cancels_its_call_and_leaves_the_child_to_others()
    {
        await using var scene = new Scene();
        var route = Route.StreamableHttp((await scene.ServeAsync(ModernServer)).StreamableHttpUrl);
        var witness = scene.ModernClient("witness", route);
        await witness.EventAsync("witness");
        var client = scene.ModernClient("hang", route);
        await client.EventAsync("hanging");

        client.Kill();
        await witness.TellAsync("cancelled");

        (await witness.StepAsync("cancelled")).GetString().ShouldBe("cancelled hang");
        (await witness.ExitAsync()).ShouldBe(0);
    }

    private static async Task<string> OpenAsync(Scene scene, Way way)
    {
        if (way == Way.Stdio)
        {
            return Route.ThroughProxy(LegacyServer);
        }

        var proxy = await scene.ServeAsync(LegacyServer);
        return way switch
        {
            Way.StdioOverSse => Route.ThroughProxy(proxy.SseUrl),
            Way.StdioOverStreamableHttp => Route.ThroughProxy(proxy.StreamableHttpUrl),
            Way.StreamableHttp => Route.StreamableHttp(proxy.StreamableHttpUrl),
            _ => Route.Sse(proxy.SseUrl),
        };
    }

    private static async Task<int> ServerOfAsync(Peer client, string said) => (await client.EventAsync(said)).GetProperty("server").GetInt32();

    private static void Kill(int processId)
    {
        using var process = Process.GetProcessById(processId);
        process.Kill();
    }

    private static void ShouldBlameTheServer(JsonElement failure)
    {
        ShouldComeFromTheProxy(failure);
        failure.Text("message").ShouldContain("exited");
    }

    /// <summary>The SDK has the same code for a connection that breaks under it; what it says then is always the same.</summary>
    private static void ShouldComeFromTheProxy(JsonElement failure)
    {
        failure.GetProperty("code").GetInt32().ShouldBe(-32000, failure.Text("message"));
        failure.Text("message").ShouldNotContain("Connection closed");
    }
}
