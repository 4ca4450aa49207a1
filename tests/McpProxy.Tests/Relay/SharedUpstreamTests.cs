using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Relay.Sharing;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Relay;

public sealed class SharedUpstreamTests
{
    private readonly FakeUpstream _upstream = new(() => new FakePeer());
    private readonly FakePeer _first = new() { HasRequestStreams = true };
    private readonly FakePeer _second = new() { HasRequestStreams = true };

    [Fact]
    public async Task Clients_that_use_the_same_id_and_token_get_their_own_answers()
    {
        await using var shared = await StartAsync();
        const string Call = """{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":1}}}""";
        await _first.SayAsync(Call);
        await _second.SayAsync(Call);
        var server = await _upstream.NextAsync();
        var (firstId, secondId) = (IdOf(await server.NextJsonAsync()), IdOf(await server.NextJsonAsync()));
        firstId.ShouldNotBe(secondId);
        await server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{secondId}}},"progress":1}}""");
        await server.SayAsync($$"""{"jsonrpc":"2.0","id":{{secondId}},"result":"for two"}""");
        await server.SayAsync($$"""{"jsonrpc":"2.0","id":{{firstId}},"result":"for one"}""");
        (await _second.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}""");
        (await _second.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":"for two"}""");
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":"for one"}""");
        _first.HasNothingMore.ShouldBeTrue();
        _upstream.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_subscription_is_known_to_the_client_by_the_clients_own_id()
    {
        await using var shared = await StartAsync();
        await _first.SayAsync("""{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{}}""");
        var server = await _upstream.NextAsync();
        var id = IdOf(await server.NextJsonAsync());
        await server.SayAsync($$$$"""{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":{{{{id}}}}}}}""");
        (await _first.NextJsonAsync()).ShouldContain("\"io.modelcontextprotocol/subscriptionId\":\"sub\"");
        await server.SayAsync($$$$"""{"jsonrpc":"2.0","id":{{{{id}}}},"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":{{{{id}}}}}}}""");
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"sub","result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}}""");
    }

    [Fact]
    public async Task What_a_client_leaves_behind_is_cancelled_and_late_answers_reach_nobody()
    {
        await using var shared = await StartAsync();
        await _first.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        var server = await _upstream.NextAsync();
        var id = IdOf(await server.NextJsonAsync());
        _first.End(ConnectionEndReason.TransportFailed, "gone");
        (await server.NextJsonAsync()).ShouldContain($"\"requestId\":{id}");
        await server.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"result":"late"}""");
        await _second.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        var other = IdOf(await server.NextJsonAsync());
        await server.SayAsync($$"""{"jsonrpc":"2.0","id":{{other}},"result":"mine"}""");
        (await _second.NextJsonAsync()).ShouldContain("mine");
    }

    [Fact]
    public async Task Cancelling_names_the_servers_id()
    {
        await using var shared = await StartAsync();
        await _first.SayAsync("""{"jsonrpc":"2.0","id":"x","method":"tools/call"}""");
        var server = await _upstream.NextAsync();
        var id = IdOf(await server.NextJsonAsync());
        await _first.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x","reason":"r"}}""");
        (await server.NextJsonAsync()).ShouldBe($$$"""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{{{id}}},"reason":"r"}}""");
    }

    [Fact]
    public async Task A_server_that_dies_answers_all_and_is_started_anew()
    {
        await using var shared = await StartAsync();
        await _first.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        await _second.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        var server = await _upstream.NextAsync();
        await server.NextJsonAsync();
        await server.NextJsonAsync();
        server.End(ConnectionEndReason.ChildExited, "it fell over", 1);
        (await _first.NextJsonAsync()).ShouldContain("it fell over");
        (await _second.NextJsonAsync()).ShouldContain("it fell over");
        await _first.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/call"}""");
        (await (await _upstream.NextAsync()).NextJsonAsync()).ShouldContain("tools/call");
    }

    [Fact]
    public async Task A_log_message_goes_to_the_only_request_that_asks_for_logs_and_never_to_another()
    {
        await using var shared = await StartAsync();
        const string Asking = """{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/logLevel":"info"}}}""";
        await _second.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        await _first.SayAsync(Asking);
        var server = await _upstream.NextAsync();
        await server.NextJsonAsync();
        await server.NextJsonAsync();
        await server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"one"}}""");
        (await _first.NextJsonAsync()).ShouldContain("one");
        await _second.SayAsync(Asking.Replace(":1,", ":2,", StringComparison.Ordinal));
        await server.NextJsonAsync();
        await server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"whose?"}}""");
        _first.HasNothingMore.ShouldBeTrue();
        _second.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task A_server_that_asks_against_the_rules_is_told_so()
    {
        await using var shared = await StartAsync();
        await _first.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        var server = await _upstream.NextAsync();
        await server.NextJsonAsync();
        await server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"roots/list"}""");
        (await server.NextJsonAsync()).ShouldContain("\"id\":\"q\",\"error\":{\"code\":-32601");
    }

    private Task<SharedUpstream> StartAsync()
    {
        var shared = new SharedUpstream(_upstream);
        _ = new RelaySession(_first, shared.Connect()).RunAsync(TestContext.Current.CancellationToken);
        _ = new RelaySession(_second, shared.Connect()).RunAsync(TestContext.Current.CancellationToken);
        return Task.FromResult(shared);
    }

    private static string IdOf(string json) =>
        JsonRpcMessage.TryParse(System.Text.Encoding.UTF8.GetBytes(json), out var message, out _) ? message.Id.ToString() : throw new ArgumentException(json, nameof(json));
}
