using McpProxy.Eras;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>Who speaks what, and what finding out costs.</summary>
public sealed class DetectionTests : BridgeTest
{
    private const string Call = """{"jsonrpc":"2.0", "id":5,"method":"tools/call","params":{"x" : 1.50}}""";

    [Fact]
    public async Task Legacy_peers_exchange_the_same_bytes()
    {
        var client = Connect();
        var server = await Upstream.NextAsync();
        await client.SayAsync(Wire.Initialize);
        (await server.NextJsonAsync()).ShouldBe(Wire.Initialize);
        var answer = $$"""{"jsonrpc":"2.0","id":0, "result":{{Wire.InitializeResult}}}""";
        await server.SayAsync(answer);
        (await client.NextAsync()).ShouldBe(answer);
        await client.SayAsync(Call);
        (await server.NextJsonAsync()).ShouldBe(Call);
        server.HasNothingMore.ShouldBeTrue("nothing is asked on the side");
        Upstream.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Modern_peers_that_begin_with_discover_exchange_the_same_bytes()
    {
        var client = Connect();
        var server = await Upstream.NextAsync();
        await client.SayAsync(Wire.Discover);
        (await server.NextJsonAsync()).ShouldBe(Wire.Discover);
        var answer = $$"""{"jsonrpc":"2.0","id":"d", "result":{{Wire.DiscoverResult}}}""";
        await server.SayAsync(answer);
        (await client.NextAsync()).ShouldBe(answer);
        var call = Wire.ModernCall(1);
        await client.SayAsync(call);
        (await server.NextJsonAsync()).ShouldBe(call);
        Upstream.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Modern_child_is_asked_before_it_gets_a_call()
    {
        var client = Connect();
        var server = await Upstream.NextAsync();
        await client.SayAsync(Wire.ModernCall(1));
        (await server.NextJsonAsync()).ShouldContain("server/discover");
        server.HasNothingMore.ShouldBeTrue("a server that does not know the era must not be called");
        await server.SayAsync(Wire.Result("mcp-proxy/server/discover", Wire.DiscoverResult));
        (await server.NextJsonAsync()).ShouldBe(Wire.ModernCall(1));
    }

    [Fact]
    public async Task Legacy_child_that_refuses_the_question_is_given_the_session()
    {
        OnMessage = message => message.Is("server/discover"u8) ? Wire.Error("d", -32601) : message.Is("initialize"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.InitializeResult}}}""" : null;
        var client = Connect();
        await client.SayAsync(Wire.Discover);

        (await client.NextObjectAsync())["result"]!["supportedVersions"]![0]!.GetValue<string>().ShouldBe("2026-07-28");
        Upstream.Count.ShouldBe(1, "the child that was asked is of use");
    }

    [Fact]
    public async Task Error_for_a_version_that_names_legacy_ones_alone_is_a_legacy_servers()
    {
        OnMessage = message => message.Is("server/discover"u8) ? Wire.Error("d", -32022, """{"supported":["2025-11-25"],"requested":"2026-07-28"}""")
            : message.Is("initialize"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.InitializeResult}}}""" : null;
        var client = Connect();
        await client.SayAsync(Wire.Discover);

        (await client.NextObjectAsync())["result"].ShouldNotBeNull();
    }

    [Fact]
    public async Task Silent_child_is_not_given_up_while_another_is_asked_in_the_legacy_way()
    {
        var client = Connect();
        var first = await Upstream.NextAsync();
        await client.SayAsync(Wire.Discover);
        await first.NextAsync();
        Time.Advance(TimeSpan.FromSeconds(3));
        var second = await Upstream.NextAsync();
        (await second.NextJsonAsync()).ShouldContain("\"initialize\"");

        // It was slow to start, and modern after all.
        await first.SayAsync(Wire.Result("d", Wire.DiscoverResult));
        (await client.NextAsync()).ShouldContain("\"public\"");
        await client.SayAsync(Wire.ModernCall(1));
        (await first.NextJsonAsync()).ShouldBe(Wire.ModernCall(1));
    }

    [Fact]
    public async Task Silent_child_is_legacy_when_another_answers_in_the_legacy_way()
    {
        var client = Connect();
        var first = await Upstream.NextAsync();
        await client.SayAsync(Wire.Discover);
        await first.NextAsync();
        Time.Advance(TimeSpan.FromSeconds(3));
        var second = await Upstream.NextAsync();
        await second.NextAsync();
        await second.SayAsync(Wire.Result(1, Wire.InitializeResult));

        (await client.NextAsync()).ShouldContain("\"private\"");
    }

    [Fact]
    public async Task Child_that_dies_of_the_question_is_started_afresh()
    {
        var client = Connect();
        var first = await Upstream.NextAsync();
        await client.SayAsync(Wire.Discover);
        await first.NextAsync();
        first.End(ConnectionEndReason.ChildExited, "dead", 1);
        var second = await Upstream.NextAsync();
        (await second.NextJsonAsync()).ShouldContain("\"initialize\"");
        await second.SayAsync(Wire.Result(1, Wire.InitializeResult));

        (await client.NextAsync()).ShouldContain("\"supportedVersions\"");
    }

    [Fact]
    public async Task Refusal_of_initialize_by_a_legacy_server_reaches_the_client()
    {
        var client = Connect();
        var server = await Upstream.NextAsync();
        await client.SayAsync(Wire.Initialize);
        await server.NextAsync();
        await server.SayAsync(Wire.Error(0, -32602));
        (await server.NextJsonAsync()).ShouldContain("server/discover");
        await server.SayAsync(Wire.Error("mcp-proxy/server/discover", -32601));

        (await client.NextAsync()).ShouldBe(Wire.Error(0, -32602));
    }

    [Fact]
    public async Task Server_that_answers_initialize_with_a_revision_that_has_none_is_a_modern_one()
    {
        var modern = Wire.InitializeResult.Replace("2025-11-25", "2026-07-28", StringComparison.Ordinal);
        OnMessage = message => message.Is("initialize"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{modern}}}""" : Modern(message);
        var client = Connect();
        await client.SayAsync(Wire.Initialize);

        (await client.NextObjectAsync())["result"]!["protocolVersion"]!.GetValue<string>().ShouldBe("2025-06-18");
    }

    [Fact]
    public async Task Server_that_cannot_be_reached_ends_the_session_with_the_reason()
    {
        var client = Connect();
        var server = await Upstream.NextAsync();
        await client.SayAsync(Wire.Initialize);
        await server.NextAsync();
        await server.SayAsync(Wire.Error(0, -32000));
        server.End(ConnectionEndReason.ConnectFailed, "refused");

        (await client.NextAsync()).ShouldBe(Wire.Error(0, -32000));
        (await client.Ended.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken)).Reason.ShouldBe(ConnectionEndReason.ConnectFailed);
    }

    [Fact]
    public async Task Server_behind_a_url_that_is_gone_fails_the_request_and_gets_it_no_second_time()
    {
        var upstream = new FakeUpstream(() => new FakePeer { HasRequestStreams = true }) { StartsServer = false };
        await using var bridge = new EraBridge(upstream, null, Time);
        await using var client = new BridgeClient(bridge.Connect());
        var server = await upstream.NextAsync();
        await client.SayAsync(Wire.ModernCall(7));
        (await server.NextJsonAsync()).ShouldContain("tools/call");
        await server.SayAsync(Wire.Error(7, -32000));
        (await server.NextJsonAsync()).ShouldContain("server/discover");
        Time.Advance(TimeSpan.FromSeconds(10));

        (await client.NextAsync()).ShouldBe(Wire.Error(7, -32000));
        upstream.Count.ShouldBe(1);
        server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Request_after_one_that_decided_nothing_gets_its_own_answer()
    {
        var isSignedIn = false;
        string Answer(JsonRpcMessage message) => isSignedIn
            ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.DiscoverResult}}}"""
            : $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"error":{"code":{{{JsonRpcErrorCode.SignInNeeded}}},"message":"sign in"}}""";
        var upstream = new FakeUpstream(() => new FakePeer { HasRequestStreams = true, Answer = Answer }) { StartsServer = false };
        await using var bridge = new EraBridge(upstream, null, Time);
        await using var client = new BridgeClient(bridge.Connect());
        await client.SayAsync(Wire.Discover);
        (await client.NextAsync()).ShouldContain("sign in");
        isSignedIn = true;

        await client.SayAsync(Wire.Discover.Replace("\"d\"", "\"e\"", StringComparison.Ordinal));

        (await client.NextAsync()).ShouldBe(Wire.Result("e", Wire.DiscoverResult));
        client.HasNothingMore.ShouldBeTrue("no answer comes twice");
    }

    [Fact]
    public async Task What_is_known_is_not_asked_again()
    {
        OnMessage = Modern;
        var first = Connect();
        await first.SayAsync(Wire.Initialize);
        await first.NextAsync();
        await Upstream.NextAsync();

        var second = Connect();
        var server = await Upstream.NextAsync();
        await second.SayAsync(Wire.Initialize);
        await second.NextAsync();

        (await server.NextJsonAsync()).ShouldContain("server/discover", customMessage: "a server that has refused initialize is not asked to again");
    }

    [Fact]
    public async Task Modern_child_that_has_fallen_silent_is_waited_for_once()
    {
        OnMessage = Modern;
        var first = Connect();
        await first.SayAsync(Wire.Initialize);
        await first.NextAsync();
        await Upstream.NextAsync();

        OnMessage = _ => null;
        var second = Connect();
        var silent = await Upstream.NextAsync();
        await second.SayAsync(Wire.Initialize);
        (await silent.NextJsonAsync()).ShouldContain("server/discover");
        Time.Advance(TimeSpan.FromSeconds(30));
        var another = await Upstream.NextAsync();
        (await another.NextJsonAsync()).ShouldBe(Wire.Initialize, "it may be a legacy one by now");
        await another.SayAsync(Wire.Result(0, Wire.InitializeResult));

        (await second.NextAsync()).ShouldBe(Wire.Result(0, Wire.InitializeResult));
    }

    [Fact]
    public async Task Sessions_of_modern_clients_share_one_modern_child()
    {
        OnMessage = Modern;
        foreach (var principal in new[] { "a", "b" })
        {
            var client = Connect(principal);
            await client.SayAsync(Wire.Discover);
            (await client.NextAsync()).ShouldContain("\"public\"");
        }

        Upstream.Count.ShouldBe(1);
    }

    private static string? Modern(JsonRpcMessage message) =>
        message.Is("server/discover"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.DiscoverResult}}}"""
        : message.Is("initialize"u8) ? $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"error":{"code":-32601,"message":"no"} }"""
        : null;
}
