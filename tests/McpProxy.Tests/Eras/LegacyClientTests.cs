using System.Text;
using System.Text.Json.Nodes;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>A legacy client and a modern server.</summary>
public sealed class LegacyClientTests : BridgeTest
{
    private const string Call = """{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"t","_meta":{"progressToken":"p"}}}""";

    [Fact]
    public async Task Initialize_is_answered_from_what_the_server_says_about_itself()
    {
        var (client, _) = await OpenAsync();

        _answer.ShouldBe("""{"jsonrpc":"2.0","id":0,"result":{"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}},"instructions":"do","protocolVersion":"2025-06-18","serverInfo":{"name":"s","version":"2"}}}""");
        client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task What_is_said_before_anybody_listens_waits_for_that()
    {
        await OpenAsync();
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(Wire.Initialize), out var initialize, out _).ShouldBeTrue();
        var connection = Bridge.Connect();
        var saying = connection.SendAsync(initialize, default, CancellationToken.None).AsTask();

        saying.IsCompleted.ShouldBeFalse("the server's answer would go astray");
        await using var client = new BridgeClient(connection);
        (await saying).ShouldBeTrue();
        (await client.NextObjectAsync())["result"].ShouldNotBeNull();
    }

    [Fact]
    public async Task Server_that_answers_in_a_later_revision_is_asked_in_it()
    {
        OnMessage = message => message.Is("initialize"u8) ? Wire.Error(0, -32601)
            : message.ProtocolVersion().Span.IndexOf("2026-07-28"u8) >= 0 ? $$$$"""{"jsonrpc":"2.0","id":{{{{message.Id}}}},"error":{"code":-32022,"message":"v","data":{"supported":["2027-01-01"],"requested":"2026-07-28"}}}"""
            : $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.DiscoverResult.Replace("2026-07-28", "2027-01-01", StringComparison.Ordinal)}}}""";
        var client = Connect();
        await client.SayAsync(Wire.Initialize);

        (await client.NextObjectAsync())["result"]!["protocolVersion"]!.GetValue<string>().ShouldBe("2025-06-18");
    }

    [Fact]
    public async Task Ping_and_log_level_are_answered_here_and_the_level_goes_with_what_follows()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"ping"}""");
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        await client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"warning"}}""");
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":2,"result":{}}""");
        await client.SayAsync("""{"jsonrpc":"2.0","id":3,"method":"logging/setLevel","params":{"level":"loud"}}""");
        (await client.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602);
        await client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}""");
        await client.SayAsync(Call);

        var call = await NextAsync(server);
        call["params"]!["_meta"]!["io.modelcontextprotocol/logLevel"]!.GetValue<string>().ShouldBe("warning");
        call["params"]!["_meta"]!["progressToken"]!.GetValue<string>().ShouldBe("p");
    }

    [Theory]
    [InlineData("[1]")]
    [InlineData("\"x\"")]
    [InlineData("5")]
    public async Task Params_that_the_protocol_does_not_know_are_refused_here(string parameters)
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync($$"""{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{parameters}}}""");
        (await client.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602);

        await client.SayAsync("""{"jsonrpc":"2.0","id":8,"method":"tools/list","params":null}""");
        (await NextAsync(server))["params"]!["_meta"]!["io.modelcontextprotocol/protocolVersion"]!.GetValue<string>().ShouldBe("2026-07-28");
    }

    [Fact]
    public async Task Questions_are_asked_at_once_on_the_stream_of_the_call_and_it_is_made_again_with_the_answers()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Call);
        var call = await NextAsync(server);
        await server.SayAsync(Wire.Result(call["id"], """{"resultType":"input_required","inputRequests":{"k\u0031":{"method":"elicitation/create","params":{"message":"m", "requestedSchema":{}}},"k2":{"method":"roots/list"}},"requestState":"a\u0062c"}"""));

        var (first, related) = await client.NextWithStreamAsync();
        var (second, _) = await client.NextWithStreamAsync();
        related.ShouldBe(JsonRpcId.FromNumber(5));
        first.ShouldContain("""{"message":"m", "requestedSchema":{}}""");
        await client.SayAsync(Wire.Result(JsonNode.Parse(second)!["id"], """{"roots":[ ]}"""));
        server.HasNothingMore.ShouldBeTrue("not all is answered");
        await client.SayAsync(Wire.Result(JsonNode.Parse(first)!["id"], """{"action":"accept","content":{"n":1.0}}"""));

        var json = await server.NextJsonAsync();
        var again = JsonNode.Parse(json)!;
        again["id"]!.ToJsonString().ShouldNotBe(call["id"]!.ToJsonString());
        json.ShouldContain("""
            "inputResponses":{"k1":{"action":"accept","content":{"n":1.0}},"k2":{"roots":[ ]}},"requestState":"a\u0062c"
            """.Trim());
        again["params"]!["_meta"]!["progressToken"]!.GetValue<string>().ShouldBe("p");
        await server.SayAsync(Wire.Result(again["id"], """{"resultType":"complete","content":[]}"""));
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":5,"result":{"content":[]}}""");
    }

    [Fact]
    public async Task Call_that_is_made_again_belongs_to_the_trace_of_the_clients_request()
    {
        var trace = new AsyncLocal<string>();
        var seen = new List<string?>();
        var (client, server) = await OpenAsync();
        var serve = OnMessage;
        server.Answer = message =>
        {
            if (message.Is("tools/call"u8))
            {
                seen.Add(trace.Value);
            }

            return serve(message);
        };
        trace.Value = "the call's";
        await client.SayAsync(Call);
        var call = await NextAsync(server);
        await server.SayAsync(Wire.Result(call["id"], """{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}"""));
        var question = await client.NextObjectAsync();
        trace.Value = "the answer's";
        await client.SayAsync(Wire.Result(question["id"], """{"roots":[]}"""));
        await NextAsync(server);

        seen.ShouldBe(["the call's", "the call's"]);
    }

    [Fact]
    public async Task Refused_question_fails_the_call_and_takes_the_others_back()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Call);
        var call = await NextAsync(server);
        await server.SayAsync(Wire.Result(call["id"], """{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{}},"b":{"method":"roots/list"}}}"""));
        var (first, second) = (await client.NextObjectAsync(), await client.NextObjectAsync());
        await client.SayAsync(Wire.Error(first["id"], -1));

        var withdrawn = await client.NextObjectAsync();
        withdrawn["method"]!.GetValue<string>().ShouldBe("notifications/cancelled");
        withdrawn["params"]!["requestId"]!.ToJsonString().ShouldBe(second["id"]!.ToJsonString());
        (await client.NextAsync()).ShouldBe(Wire.Error(5, -1));
        await client.SayAsync(Wire.Result(second["id"], "{}"));
        server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Question_beyond_the_clients_capabilities_fails_the_call_and_says_which()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Call);
        var call = await NextAsync(server);
        await server.SayAsync(Wire.Result(call["id"], """{"resultType":"input_required","inputRequests":{"a":{"method":"sampling/createMessage","params":{}}}}"""));

        var error = (await client.NextObjectAsync())["error"]!;
        error["code"]!.GetValue<int>().ShouldBe(-32602);
        error["message"]!.GetValue<string>().ShouldContain("sampling");
    }

    [Fact]
    public async Task State_without_questions_is_given_back_after_a_pause()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Call);
        var call = await NextAsync(server);
        await server.SayAsync(Wire.Result(call["id"], """{"resultType":"input_required","requestState":"wait"}"""));
        server.HasNothingMore.ShouldBeTrue();
        Time.Advance(TimeSpan.FromSeconds(1));

        var again = await NextAsync(server);
        again["params"]!["requestState"]!.GetValue<string>().ShouldBe("wait");
        again["params"]!["inputResponses"].ShouldBeNull();
    }

    [Fact]
    public async Task Server_that_never_has_enough_is_given_up()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Call);
        for (var round = 0; round < 10; round++)
        {
            await server.SayAsync(Wire.Result((await NextAsync(server))["id"], """{"resultType":"input_required","inputRequests":{"b":{"method":"roots/list"}}}"""));
            await client.SayAsync(Wire.Result((await client.NextObjectAsync())["id"], "{}"));
        }

        await server.SayAsync(Wire.Result((await NextAsync(server))["id"], """{"resultType":"input_required","inputRequests":{"b":{"method":"roots/list"}}}"""));
        (await client.NextObjectAsync())["error"]!["message"]!.GetValue<string>().ShouldContain("10 times");
    }

    [Fact]
    public async Task Cancellation_names_the_round_that_the_server_works_on()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Call);
        await server.SayAsync(Wire.Result((await NextAsync(server))["id"], """{"resultType":"input_required","inputRequests":{"b":{"method":"roots/list"}}}"""));
        await client.SayAsync(Wire.Result((await client.NextObjectAsync())["id"], "{}"));
        var again = await NextAsync(server);
        await client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5,"reason":"r"}}""");

        var cancelled = await NextAsync(server);
        cancelled["params"]!["requestId"]!.ToJsonString().ShouldBe(again["id"]!.ToJsonString());
        cancelled["params"]!["reason"]!.GetValue<string>().ShouldBe("r");
    }

    [Fact]
    public async Task Subscription_is_answered_once_acknowledged_and_the_old_stream_closed_only_then()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.Initialized);
        var first = await NextAsync(server);
        first["params"]!["notifications"]!.ToJsonString().ShouldBe("""{"toolsListChanged":true}""");
        await AcknowledgeAsync(server, first);
        await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://a"}}""");
        var second = await NextAsync(server);
        second["params"]!["notifications"]!.ToJsonString().ShouldBe("""{"toolsListChanged":true,"resourceSubscriptions":["test://a"]}""");
        client.HasNothingMore.ShouldBeTrue("not acknowledged yet");

        // What changes meanwhile comes on the old stream, once.
        await NotifyAsync(server, first, "notifications/tools/list_changed");
        await NotifyAsync(server, second, "notifications/tools/list_changed");
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
        server.HasNothingMore.ShouldBeTrue("the old stream is needed until the new one is there");
        await AcknowledgeAsync(server, second);
        (await NextAsync(server))["params"]!["requestId"]!.ToJsonString().ShouldBe(first["id"]!.ToJsonString());
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        await NotifyAsync(server, first, "notifications/tools/list_changed");
        await NotifyAsync(server, second, "notifications/resources/updated", "\"uri\":\"test://a\",");
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://a"}}""");
    }

    [Fact]
    public async Task Resource_that_the_server_does_not_agree_to_is_refused()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"test://a"}}""");
        var listen = await NextAsync(server);
        await server.SayAsync($$$$"""{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":{{{{listen["id"]!.ToJsonString()}}}}},"notifications":{}}}""");

        (await client.NextObjectAsync())["error"]!["message"]!.GetValue<string>().ShouldContain("does not tell of changes");
    }

    [Fact]
    public async Task Broken_stream_is_opened_again_and_what_may_have_been_missed_is_told()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.Initialized);
        var first = await NextAsync(server);
        await AcknowledgeAsync(server, first);
        await server.SayAsync(Wire.Error(first["id"], -32000));
        server.HasNothingMore.ShouldBeTrue("not at once");
        Time.Advance(TimeSpan.FromSeconds(1));
        var second = await NextAsync(server);
        await AcknowledgeAsync(server, second);

        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
    }

    [Fact]
    public async Task Server_without_subscriptions_is_not_asked_for_ever()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.Initialized);
        await server.SayAsync(Wire.Error((await NextAsync(server))["id"], -32601));
        Time.Advance(TimeSpan.FromMinutes(5));

        server.HasNothingMore.ShouldBeTrue();
        client.HasNothingMore.ShouldBeTrue();
    }

    private string _answer = "";

    private static Task AcknowledgeAsync(FakePeer server, JsonObject listen) => server.SayAsync(
        $$$$"""{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":{{{{listen["id"]!.ToJsonString()}}}}},"notifications":{{{{listen["params"]!["notifications"]!.ToJsonString()}}}}}}""");

    private static Task NotifyAsync(FakePeer server, JsonObject listen, string method, string members = "") =>
        server.SayAsync($$$$"""{"jsonrpc":"2.0","method":"{{{{method}}}}","params":{ {{{{members}}}}"_meta":{"io.modelcontextprotocol/subscriptionId":{{{{listen["id"]!.ToJsonString()}}}}}}}""");

    private async Task<(BridgeClient Client, FakePeer Server)> OpenAsync()
    {
        OnMessage = message => message.Is("initialize"u8) ? Wire.Error(0, -32601)
            : message.Is("server/discover"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.DiscoverResult}}}"""
            : null;
        var client = Connect();
        var server = await Upstream.NextAsync();
        await client.SayAsync(Wire.Initialize);
        _answer = await client.NextAsync();
        await server.NextAsync();
        await server.NextAsync();
        return (client, server);
    }
}
