using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>
/// The reference server, over stdio behind a serving proxy or over its own HTTP, and the client of the TypeScript SDK 1.x:
/// in front of that proxy, or of one that it starts itself and that turns HTTP back into stdio.
/// </summary>
public sealed class EverythingTests(EverythingTests.Runs runs) : IClassFixture<EverythingTests.Runs>, IDisposable
{
    private const string Server = "@modelcontextprotocol/server-everything";

    private Peer? _client;

    public enum Way
    {
        StdioOverSse,
        StdioOverStreamableHttp,
        StreamableHttp,
        Sse,
        StdioToItsSse,
        StdioToItsStreamableHttp,
        StreamableHttpToItsSse,
        SseToItsStreamableHttp,
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
    public async Task The_server_introduces_itself(Way way)
    {
        _client = await runs.OfAsync("everything", way);

        var connected = await _client.EventAsync("connected");

        connected.GetProperty("server").Text("name").ShouldBe("mcp-servers/everything");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task Tools_are_listed(Way way)
    {
        var tools = await SawAsync("tools", way);

        // Those that the server offers only to a client which can be asked.
        string[] expected = ["echo", "get-roots-list", "trigger-elicitation-request", "trigger-long-running-operation", "trigger-sampling-request"];
        expected.ShouldBeSubsetOf(tools.Texts());
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task Resources_are_listed_and_read(Way way)
    {
        var saw = await SawAsync("resources", way);

        saw.Texts("resources").ShouldContain("demo://resource/static/document/architecture.md");
        saw.Texts("templates").ShouldContain("demo://resource/dynamic/text/{resourceId}");
        saw.GetProperty("read").Text("text").ShouldStartWith("Resource 7:");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task Prompts_are_listed_and_got(Way way)
    {
        var saw = await SawAsync("prompts", way);

        saw.Texts("prompts").ShouldContain("args-prompt");
        saw.GetProperty("get")[0].GetProperty("content").Text("text").ShouldBe("What's weather in Ulm?");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task A_call_is_answered(Way way) => (await SawAsync("echo", way)).GetString().ShouldBe("Echo: grüße 你好 🎉 \u2028");

    [Theory, MemberData(nameof(Ways))]
    public async Task Progress_arrives_in_order(Way way)
    {
        var saw = await SawAsync("progress", way);

        saw.Text("text").ShouldStartWith("Long running operation completed.");
        saw.GetProperty("progress").Each("progress").Select(progress => progress.GetInt32()).ShouldBe([1, 2, 3]);
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task The_server_samples_through_the_client(Way way) =>
        (await SawAsync("sampling", way)).GetString()!.ShouldContain("everything heard: Resource trigger-sampling-request context: hello");

    [Theory, MemberData(nameof(Ways))]
    public async Task The_server_asks_the_user_through_the_client(Way way) =>
        (await SawAsync("elicitation", way)).GetString()!.ShouldContain("Name: Ada of everything");

    [Theory, MemberData(nameof(Ways))]
    public async Task An_error_arrives_with_its_data(Way way)
    {
        var error = await SawAsync("urlElicitation", way);

        error.GetProperty("code").GetInt32().ShouldBe(-32042);
        error.GetProperty("data").GetProperty("elicitations")[0].Text("mode").ShouldBe("url");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task An_update_of_a_subscribed_resource_arrives(Way way)
    {
        var saw = await SawAsync("subscription", way);

        saw.Text("updated").ShouldBe(saw.Text("uri"));
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task Log_messages_arrive(Way way) => (await SawAsync("logging", way)).Text("data").ShouldContain("level", Case.Insensitive);

    [Theory, MemberData(nameof(Ways))]
    public async Task The_server_gets_the_roots_and_hears_of_their_change(Way way)
    {
        var saw = await SawAsync("roots", way);

        saw.Text("before").ShouldContain("file:///srv/first");
        saw.Text("after").ShouldContain("file:///srv/second");
        saw.Text("after").ShouldContain("file:///srv/third");
        saw.Text("after").ShouldNotContain("file:///srv/first");
    }

    [Theory, MemberData(nameof(Ways))]
    public async Task Arguments_are_completed(Way way)
    {
        var saw = await SawAsync("completion", way);

        saw.Texts("department").ShouldBe(["Engineering"]);
        saw.Texts("name").ShouldBe(["Alice", "Bob", "Charlie"]);
    }

    [Theory, InlineData(Way.StdioOverSse), InlineData(Way.StdioOverStreamableHttp), InlineData(Way.StreamableHttp), InlineData(Way.Sse)]
    public async Task Two_clients_with_the_same_ids_get_what_is_theirs(Way way)
    {
        var pair = await SawAsync("pair", "pair", way);

        foreach (var client in pair.EnumerateArray())
        {
            var name = client.Text("name");
            client.Text("sampling").ShouldContain($"{name} heard: Resource trigger-sampling-request context: I am {name}");
            client.Text("elicitation").ShouldContain($"Ada of {name}");
            client.Texts("asked").ShouldBe(["sampling/createMessage", "elicitation/create"], ignoreOrder: true);
            client.Texts("wrong").ShouldBeEmpty();
            var steps = name == "left" ? 3 : 5;
            client.Text("operation").ShouldContain($"Steps: {steps}.");
            client.GetProperty("progress").Each("total").ShouldAllBe(total => total.GetInt32() == steps);
            client.GetProperty("progress").Each("progress").Select(progress => progress.GetInt32()).ShouldBe(Enumerable.Range(1, steps));
        }

        // Otherwise the test would say nothing.
        pair[0].GetProperty("ids").Numbers().Order().ShouldBe(pair[1].GetProperty("ids").Numbers().Order());
        Token(pair[0]).ShouldBe(Token(pair[1]));

        static int Token(JsonElement client) => client.GetProperty("progress")[0].GetProperty("progressToken").GetInt32();
    }

    private Task<JsonElement> SawAsync(string step, Way way) => SawAsync("everything", step, way);

    private async Task<JsonElement> SawAsync(string scenario, string step, Way way) => await (_client = await runs.OfAsync(scenario, way)).StepAsync(step);

    /// <summary>One client for each way and scenario; servers and serving proxies are shared as they would be in life.</summary>
    public sealed class Runs : IAsyncDisposable
    {
        private readonly Lock _gate = new();
        private readonly Dictionary<(string, Way), Task<Peer>> _clients = [];
        private readonly Dictionary<string, Task<ServingProxy>> _proxies = [];
        private readonly Dictionary<string, Task<string>> _servers = [];
        private Scene? _scene;

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
            return _scene.LegacyClient(scenario, way switch
            {
                Way.StdioOverSse => Route.ThroughProxy((await ServeStdioAsync()).SseUrl),
                Way.StdioOverStreamableHttp => Route.ThroughProxy((await ServeStdioAsync()).StreamableHttpUrl),
                Way.StreamableHttp => Route.StreamableHttp((await ServeStdioAsync()).StreamableHttpUrl),
                Way.Sse => Route.Sse((await ServeStdioAsync()).SseUrl),
                Way.StdioToItsSse => Route.ThroughProxy(await ItsSseAsync()),
                Way.StdioToItsStreamableHttp => Route.ThroughProxy(await ItsStreamableHttpAsync()),
                Way.StreamableHttpToItsSse => Route.StreamableHttp((await ServeAsync(await ItsSseAsync())).StreamableHttpUrl),
                _ => Route.Sse((await ServeAsync(await ItsStreamableHttpAsync())).SseUrl),
            });
        }

        private Task<ServingProxy> ServeStdioAsync() => ServeAsync("--", NodePackages.Node, NodePackages.Program(Server), "stdio");

        private Task<string> ItsSseAsync() => ItselfAsync("sse", "Server is running", "/sse");

        private Task<string> ItsStreamableHttpAsync() => ItselfAsync("streamableHttp", "listening on port", "/mcp");

        private Task<ServingProxy> ServeAsync(params string[] arguments)
        {
            lock (_gate)
            {
                return _proxies.TryGetValue(arguments[0], out var proxy) ? proxy : _proxies[arguments[0]] = _scene!.ServeAsync(arguments);
            }
        }

        private Task<string> ItselfAsync(string transport, string isReady, string path)
        {
            lock (_gate)
            {
                return _servers.TryGetValue(transport, out var url) ? url : _servers[transport] = FreePort.UseAsync(async port =>
                {
                    var server = _scene!.Start(
                        "server", NodePackages.Node, [NodePackages.Program(Server), transport], new Dictionary<string, string>(StringComparer.Ordinal) { ["PORT"] = $"{port}" });
                    await server.ErrorLineAsync(isReady);
                    return $"http://127.0.0.1:{port}{path}";
                });
            }
        }
    }
}
