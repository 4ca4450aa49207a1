using System.Text;
using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>A client and a server of the TypeScript SDK 2.x, which both speak 2026-07-28 alone.</summary>
public sealed class ModernTests(ModernTests.Runs runs) : IClassFixture<ModernTests.Runs>, IDisposable
{
    private Peer? _client;

    public enum Way
    {
        StdioToStdio,
        StdioToHttp,
        HttpToStdio,
        HttpToHttp,
    }

    public static TheoryData<Way> Ways => [.. Enum.GetValues<Way>()];

    public void Dispose()
    {
        if (TestContext.Current.TestState?.Result == TestResult.Failed && _client is not null)
        {
            runs.Show(_client);
        }
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task The_server_is_discovered(Way way)
    {
        var saw = await SawAsync("discover", way);

        saw.Text("era").ShouldBe("modern");
        saw.Text("version").ShouldBe("2026-07-28");
        saw.GetProperty("discover").Texts("supportedVersions").ShouldBe(["2026-07-28"]);
        saw.GetProperty("discover").GetProperty("capabilities").GetProperty("resources").GetProperty("subscribe").GetBoolean().ShouldBeTrue();
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task Tools_are_listed(Way way) =>
        (await SawAsync("tools", way)).Texts("tools").ShouldContain("region");

    [Theory, InlineData(Way.StdioToHttp), InlineData(Way.HttpToHttp)]
    public async Task A_tool_with_an_invalid_annotation_is_hidden_behind_HTTP(Way way) =>
        (await SawAsync("tools", way)).Texts("onTheWire").ShouldNotContain("misannotated");

    [Fact]
    public async Task A_tool_with_an_invalid_annotation_is_none_of_our_business_over_stdio() =>
        (await SawAsync("tools", Way.StdioToStdio)).Texts("onTheWire").ShouldContain("misannotated");

    [Theory, MemberData(nameof(Ways))]
    public async Task A_call_is_answered(Way way) => (await SawAsync("echo", way)).GetString().ShouldBe("grüße 你好 🎉 \u2028");

    [Theory, MemberData(nameof(Ways))]
    public async Task Progress_arrives_while_the_call_runs(Way way)
    {
        var saw = await SawAsync("progress", way);

        saw.Text("text").ShouldStartWith("through modern");
        saw.GetProperty("progress").Each("progress").Select(progress => progress.GetInt32()).ShouldBe([1, 2]);
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task The_server_asks_the_user_by_an_answer_that_requires_input(Way way)
    {
        var saw = await SawAsync("elicitation", way);

        saw.Text("text").ShouldBe("Hello, Ada of modern, state of the call: \"ü\", 1.0");
        saw.GetProperty("asked").Each("message").ShouldHaveSingleItem().GetString().ShouldBe("Who are you?");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task An_update_of_a_resource_arrives_on_its_subscription(Way way)
    {
        var saw = await SawAsync("subscription", way);

        var uri = saw.Text("uri");
        saw.GetProperty("honored").Texts("resourceSubscriptions").ShouldBe([uri]);
        saw.GetProperty("updates").Each("uri").ShouldHaveSingleItem().GetString().ShouldBe(uri);
        saw.Text("closed").ShouldBe("local");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task A_cancellation_reaches_the_server(Way way)
    {
        var saw = await SawAsync("cancellation", way);

        saw.Text("failure").ShouldContain("changed my mind");
        saw.Text("server").ShouldStartWith("cancelled modern");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task Arguments_are_mirrored_into_headers(Way way)
    {
        var saw = await SawAsync("headers", way);

        saw.GetProperty("args").Text("region").ShouldBe("zürich, \"süd\"");
        if (way is Way.StdioToStdio or Way.HttpToStdio)
        {
            return;
        }

        var headers = saw.GetProperty("headers");
        headers.Text("mcp-protocol-version").ShouldBe("2026-07-28");
        headers.Text("mcp-method").ShouldBe("tools/call");
        headers.Text("mcp-name").ShouldBe("region");
        headers.Text("mcp-param-size").ShouldBe("42");
        headers.Text("mcp-param-region").ShouldBe($"=?base64?{Convert.ToBase64String(Encoding.UTF8.GetBytes("zürich, \"süd\""))}?=");
        headers.EnumerateObject().ShouldNotContain(header => header.Value.GetString()!.Contains("private", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Arguments_are_mirrored_for_a_client_that_has_not_listed_the_tools()
    {
        var saw = await SawAsync("burst", "burst", Way.StdioToHttp);

        saw.Texts("headers").ShouldBe(saw.Texts("regions"));
    }

    [Fact]
    public async Task Calls_at_once_have_the_tools_listed_for_them_once()
    {
        // A server that nobody else has asked.
        await using var scene = new Scene();
        var client = scene.ModernClient("burst", Route.ThroughProxy(await scene.ModernServerAsync()));

        var saw = await client.StepAsync("burst");

        saw.GetProperty("listings").GetInt32().ShouldBe(1);
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task A_first_call_without_a_sign_of_life_holds_up_nothing(Way way) =>
        (await SawAsync("silence", "silence", way)).Texts().ShouldAllBe(text => text.Contains("silence", StringComparison.Ordinal));

    [Theory, MemberData(nameof(Ways))]
    public async Task Two_clients_with_the_same_ids_get_what_is_theirs(Way way)
    {
        var pair = await SawAsync("pair", "pair", way);

        foreach (var client in pair.EnumerateArray())
        {
            var (name, key, server) = (client.Text("name"), client.Text("key"), client.GetProperty("server").GetInt32());
            client.Text("gate").ShouldBe($"through {key}");
            client.Text("greeting").ShouldStartWith($"Hello, Ada of {name}");
            client.Text("cancelled").ShouldBe($"cancelled {key}");
            client.Texts("progress").ShouldBe([$"at gate {key}", $"through gate {key}", $"{server}"]);
            client.Texts("updates").ShouldBe([client.Text("uri")]);
            client.Texts("wrong").ShouldBeEmpty();
        }

        // Otherwise the test would say nothing.
        pair[0].GetProperty("ids").Numbers().Order().ShouldBe(pair[1].GetProperty("ids").Numbers().Order());
        var servers = pair.Each("server").Select(server => server.GetInt32()).Distinct();
        servers.Count().ShouldBe(way == Way.StdioToStdio ? 2 : 1);
    }

    private Task<JsonElement> SawAsync(string step, Way way) => SawAsync("modern", step, way);

    private async Task<JsonElement> SawAsync(string scenario, string step, Way way) => await (_client = await runs.OfAsync(scenario, way)).StepAsync(step);

    /// <summary>One client for each way and scenario; servers and serving proxies are shared as they would be in life.</summary>
    public sealed class Runs : IAsyncDisposable
    {
        private readonly Lock _gate = new();
        private readonly Dictionary<(string, Way), Task<Peer>> _clients = [];
        private Scene? _scene;
        private Task<string>? _server;
        private Task<ServingProxy>? _overStdio;
        private Task<ServingProxy>? _overHttp;

        internal Task<Peer> OfAsync(string scenario, Way way)
        {
            lock (_gate)
            {
                return _clients.TryGetValue((scenario, way), out var client) ? client : _clients[(scenario, way)] = StartAsync(scenario, way);
            }
        }

        internal void Show(Peer client) => _scene?.Show(client);

        public async ValueTask DisposeAsync()
        {
            if (_scene is not null)
            {
                await _scene.DisposeAsync();
            }
        }

        private async Task<Peer> StartAsync(string scenario, Way way)
        {
            _scene ??= new();
            string[] command = ["--", .. NodePackages.ModernServer];
            return _scene.ModernClient(scenario, way switch
            {
                Way.StdioToStdio => Route.ThroughProxy(command),
                Way.StdioToHttp => Route.ThroughProxy(await (_server ??= _scene.ModernServerAsync())),
                Way.HttpToStdio => Route.StreamableHttp((await (_overStdio ??= _scene.ServeAsync(command))).StreamableHttpUrl),
                _ => Route.StreamableHttp((await (_overHttp ??= ServeHttpAsync())).StreamableHttpUrl),
            });
        }

        private async Task<ServingProxy> ServeHttpAsync() => await _scene!.ServeAsync(await (_server ??= _scene.ModernServerAsync()));
    }
}
