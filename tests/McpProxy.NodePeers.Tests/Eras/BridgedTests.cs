using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.Eras;

/// <summary>A client of one TypeScript SDK and a server of the other, which have no revision in common.</summary>
public sealed class BridgedTests
{
    private const string Everything = "@modelcontextprotocol/server-everything";

    [Theory]
    [InlineData(LegacyWay.Stdio, false)]
    [InlineData(LegacyWay.Stdio, true)]
    [InlineData(LegacyWay.StreamableHttp, false)]
    [InlineData(LegacyWay.StreamableHttp, true)]
    [InlineData(LegacyWay.Sse, true)]
    public async Task A_legacy_client_uses_a_modern_server(LegacyWay way, bool serverIsBehindHttp)
    {
        await using var scene = new Scene();
        string[] target = serverIsBehindHttp ? [await scene.ModernServerAsync()] : ["--", .. NodePackages.ModernServer];
        var client = scene.LegacyClient("bridged", way == LegacyWay.Stdio ? Route.ThroughProxy(target) : way.RouteTo(await scene.ServeAsync(target)));

        var introduction = await client.StepAsync("introduction");
        introduction.GetProperty("server").Text("name").ShouldBe("node-peer-v2");
        introduction.GetProperty("capabilities").GetProperty("resources").GetProperty("subscribe").GetBoolean().ShouldBeTrue();

        (await client.StepAsync("tools")).Texts().ShouldContain("region");

        var progress = await client.StepAsync("progress");
        progress.Text("text").ShouldStartWith("through bridged");
        progress.GetProperty("progress").Each("progress").Select(step => step.GetInt32()).ShouldBe([1, 2]);

        var elicitation = await client.StepAsync("elicitation");
        elicitation.Text("text").ShouldBe("Hello, Ada of bridged, state of the call: \"ü\", 1.0");
        elicitation.GetProperty("asked").Each("message").ShouldHaveSingleItem().GetString().ShouldBe("Who are you?");

        var subscription = await client.StepAsync("subscription");
        subscription.GetProperty("updates").Each("uri").ShouldHaveSingleItem().GetString().ShouldBe(subscription.Text("uri"));

        var cancellation = await client.StepAsync("cancellation");
        cancellation.Text("failure").ShouldContain("changed my mind");
        cancellation.Text("server").ShouldStartWith("cancelled bridged");

        var headers = (await client.StepAsync("headers")).GetProperty("headers");
        if (serverIsBehindHttp)
        {
            headers.Text("mcp-protocol-version").ShouldBe("2026-07-28");
            headers.Text("mcp-param-size").ShouldBe("42");
        }
        else
        {
            headers.ValueKind.ShouldBe(JsonValueKind.Null);
        }
    }

    [Theory]
    [InlineData(LegacyWay.Stdio)]
    [InlineData(LegacyWay.StreamableHttp)]
    [InlineData(LegacyWay.StdioOverStreamableHttp)]
    public async Task A_modern_client_uses_a_legacy_server(LegacyWay way)
    {
        await using var scene = new Scene();
        var client = scene.ModernClient("bridged", await way.OpenAsync(scene, NodePackages.Node, NodePackages.Program(Everything), "stdio"));

        var discover = await client.StepAsync("discover");
        discover.Text("era").ShouldBe("modern");
        discover.GetProperty("discover").Texts("supportedVersions").ShouldContain("2026-07-28");

        (await client.StepAsync("tools")).Texts().ShouldContain("trigger-elicitation-request");
        (await client.StepAsync("echo")).GetString().ShouldBe("Echo: grüße 你好 🎉 \u2028");

        var progress = await client.StepAsync("progress");
        progress.Text("text").ShouldContain("completed");
        progress.GetProperty("progress").GetArrayLength().ShouldBe(3);

        var elicitation = await client.StepAsync("elicitation");
        elicitation.Text("text").ShouldContain("Ada of bridged");
        elicitation.GetProperty("asked").GetInt32().ShouldBe(1);

        var subscription = await client.StepAsync("subscription");
        subscription.Text("updated").ShouldBe(subscription.Text("uri"));
        subscription.GetProperty("honored").Texts("resourceSubscriptions").ShouldBe([subscription.Text("uri")]);
    }
}
