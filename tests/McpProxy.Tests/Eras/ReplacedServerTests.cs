using System.Text.Json.Nodes;
using McpProxy.Eras;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>A server that is replaced by one of the other era while clients use it.</summary>
public sealed class ReplacedServerTests : IAsyncLifetime
{
    private const string LegacyCall = """{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"t"}}""";

    private readonly FakeUpstream _upstream;
    private readonly ManualTime _time = new();
    private readonly List<string> _calls = [];
    private readonly List<string> _refusals = [];
    private volatile bool _isModern;
    private volatile bool _isGoing;
    private string _level = "";
    private EraBridge _bridge = null!;

    public ReplacedServerTests() => _upstream = new(() => new FakePeer { Answer = Serve }) { StartsServer = false };

    public ValueTask InitializeAsync()
    {
        _bridge = new(_upstream, null, _time);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync() => await _bridge.DisposeAsync();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Requests_of_modern_clients_find_the_new_server(bool wasModern)
    {
        _isModern = wasModern;
        (await AskOnceAsync()).ShouldContain("result");
        _isModern = !wasModern;

        (await AskOnceAsync()).ShouldContain("error", customMessage: "the one that finds out is not made again");
        (await AskOnceAsync()).ShouldContain("result");
        (await AskOnceAsync()).ShouldContain("result");
        _calls.Count.ShouldBe(3, "each request was carried out once");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Modern_client_that_stays_finds_the_new_server(bool wasModern)
    {
        _isModern = wasModern;
        await using var client = new BridgeClient(_bridge.Connect());
        await client.SayAsync(Wire.ModernCall(1));
        (await client.NextAsync()).ShouldContain("result");
        _isModern = !wasModern;

        await client.SayAsync(Wire.ModernCall(2));
        (await client.NextObjectAsync())["error"].ShouldNotBeNull();
        await client.SayAsync(Wire.ModernCall(3));
        var answer = await client.NextObjectAsync();
        answer["id"]!.GetValue<int>().ShouldBe(3);
        answer["result"]!["resultType"]!.GetValue<string>().ShouldBe("complete");
        _calls.Count.ShouldBe(2);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Legacy_session_goes_on_with_the_new_server(bool wasModern)
    {
        _isModern = wasModern;
        await using var client = new BridgeClient(_bridge.Connect());
        await client.SayAsync(Wire.Initialize);
        (await client.NextAsync()).ShouldContain("serverInfo");
        await client.SayAsync(Wire.Initialized);
        await client.SayAsync("""{"jsonrpc":"2.0","id":4,"method":"logging/setLevel","params":{"level":"warning"}}""");
        (await client.NextAsync()).ShouldContain("\"id\":4");
        await client.SayAsync(LegacyCall);
        (await client.NextAsync()).ShouldContain("result");
        _isModern = !wasModern;

        await client.SayAsync(LegacyCall.Replace("5", "6", StringComparison.Ordinal));
        (await client.NextObjectAsync())["error"].ShouldNotBeNull();
        await client.SayAsync(LegacyCall.Replace("5", "7", StringComparison.Ordinal));
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":7,"result":{"content":[]}}""");
        client.HasNothingMore.ShouldBeTrue("what was said again is answered to nobody");
        _calls.Count.ShouldBe(2);
        _calls[1].ShouldContain(wasModern ? "legacy warning" : "\"io.modelcontextprotocol/logLevel\":\"warning\"");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Legacy_client_that_comes_later_is_served_by_the_new_server(bool wasModern)
    {
        _isModern = wasModern;
        await using (var before = new BridgeClient(_bridge.Connect()))
        {
            await before.SayAsync(Wire.Initialize);
            (await before.NextAsync()).ShouldContain("serverInfo");
        }

        _isModern = !wasModern;
        await using var client = new BridgeClient(_bridge.Connect());
        await client.SayAsync(Wire.Initialize);
        (await client.NextAsync()).ShouldContain("serverInfo");
        await client.SayAsync(Wire.Initialized);
        await client.SayAsync(LegacyCall);
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":5,"result":{"content":[]}}""");
        client.HasNothingMore.ShouldBeTrue();
        _calls.Count.ShouldBe(1);
    }

    /// <summary>Requests to a server that is just going away break, that of what it speaks as well.</summary>
    [Fact]
    public async Task Server_that_goes_and_comes_back_is_what_it_was()
    {
        _isModern = true;
        (await AskOnceAsync()).ShouldContain("result");
        _isGoing = true;
        (await AskOnceAsync()).ShouldContain("reset by peer");
        _isGoing = false;
        (await AskOnceAsync()).ShouldContain("result");
        _calls.Count.ShouldBe(2);
        _refusals.ShouldBeEmpty();
    }

    [Fact]
    public async Task Error_that_has_other_reasons_costs_one_question_in_a_while()
    {
        await using var client = new BridgeClient(_bridge.Connect());
        await client.SayAsync(Wire.Initialize);
        await client.NextAsync();
        for (var i = 0; i < 3; i++)
        {
            await client.SayAsync("""{"jsonrpc":"2.0","id":9,"method":"test/fail"}""");
            (await client.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32000);
        }

        _upstream.Count.ShouldBe(2);
        _time.Advance(TimeSpan.FromSeconds(11));
        await client.SayAsync("""{"jsonrpc":"2.0","id":9,"method":"test/fail"}""");
        await client.NextAsync();
        _upstream.Count.ShouldBe(3);
    }

    [Fact]
    public async Task Child_that_comes_back_as_another_program_gets_no_request_that_it_does_not_understand()
    {
        _isModern = true;
        var children = new FakeUpstream(() => new FakePeer { Answer = Serve });
        await using var bridge = new EraBridge(children, null, _time);
        (await AskOnceAsync(bridge)).ShouldContain("result");
        var first = await children.NextAsync();
        _isModern = false;
        await using var witness = new BridgeClient(bridge.Connect("bob"));
        await witness.SayAsync(Wire.ModernCall(2).Replace("tools/call", "test/hang", StringComparison.Ordinal));
        first.End(ConnectionEndReason.ChildExited, "it died", 1);
        (await witness.NextAsync()).ShouldContain("it died");

        (await AskOnceAsync(bridge)).ShouldContain("does not speak the modern era");
        (await AskOnceAsync(bridge)).ShouldContain("result");
        _calls.Count.ShouldBe(2);
        _refusals.ShouldBe(["server/discover", "server/discover"], "nothing that means anything to a legacy server");
    }

    /// <summary>One modern request, on a connection of its own.</summary>
    private async Task<string> AskOnceAsync(EraBridge? bridge = null)
    {
        await using var client = new BridgeClient((bridge ?? _bridge).Connect("alice"));
        await client.SayAsync(Wire.ModernCall(1));
        return await client.NextAsync();
    }

    private string? Serve(JsonRpcMessage message)
    {
        if (message.Kind != JsonRpcMessageKind.Request || message.Is("test/hang"u8))
        {
            return null;
        }

        var id = message.Id;
        if (_isGoing)
        {
            return $$$"""{"jsonrpc":"2.0","id":{{{id}}},"error":{"code":-32000,"message":"Connection reset by peer"} }""";
        }

        if (message.IsModern() != _isModern)
        {
            _refusals.Add(System.Text.Encoding.UTF8.GetString(message.Method));
            return _isModern
                ? $$$$"""{"jsonrpc":"2.0","id":{{{{id}}}},"error":{"code":-32022,"message":"v","data":{"supported":["2026-07-28"],"requested":""}}}"""
                : $$$"""{"jsonrpc":"2.0","id":{{{id}}},"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}""";
        }

        if (message.Is("tools/call"u8))
        {
            _calls.Add(_isModern ? System.Text.Encoding.UTF8.GetString(message.Utf8.Span) : $"legacy {_level}");
            return $$"""{"jsonrpc":"2.0","id":{{id}},"result":{"content":[]{{(_isModern ? ",\"resultType\":\"complete\"" : "")}} } }""".Replace(" ", "", StringComparison.Ordinal);
        }

        if (message.Is("logging/setLevel"u8))
        {
            _level = JsonNode.Parse(System.Text.Encoding.UTF8.GetString(message.Utf8.Span))!["params"]!["level"]!.GetValue<string>();
        }

        return message.Is("server/discover"u8) ? $$"""{"jsonrpc":"2.0","id":{{id}},"result":{{Wire.DiscoverResult}}}"""
            : message.Is("initialize"u8) ? $$"""{"jsonrpc":"2.0","id":{{id}},"result":{{Wire.InitializeResult}}}"""
            : message.Is("test/fail"u8) ? $$$"""{"jsonrpc":"2.0","id":{{{id}}},"error":{"code":-32000,"message":"no"} }"""
            : $$"""{"jsonrpc":"2.0","id":{{id}},"result":{} }""";
    }
}
