using System.Text.Json.Nodes;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>Modern clients and a legacy server.</summary>
public sealed class ModernClientTests : BridgeTest
{
    private const string Elicitation = """{"message":"m", "requestedSchema":{}}""";

    public ModernClientTests() => OnMessage = message =>
        message.Is("server/discover"u8) ? $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"error":{"code":-32601,"message":"no"} }"""
        : message.Is("initialize"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{{Wire.InitializeResult}}}"""
        : message.Is("logging/setLevel"u8) || message.Is("resources/subscribe"u8) || message.Is("resources/unsubscribe"u8) ? $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{} }"""
        : null;

    [Fact]
    public async Task Discover_is_answered_from_the_introduction()
    {
        var client = Connect();
        await client.SayAsync(Wire.Discover);

        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"d","result":{"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"instructions":"do","supportedVersions":["2026-07-28"],"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"2"}}}}""");
    }

    [Fact]
    public async Task Call_reaches_the_server_without_what_the_session_knows_and_its_result_is_completed()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1, meta: ",\"progressToken\":\"p\",\"x\":1"));
        var call = await NextAsync(server);
        var id = call["id"]!.ToJsonString();
        call["params"]!.ToJsonString().ShouldBe($$$"""{"name":"t","arguments":{"a":1.0},"_meta":{"progressToken":{{{id}}},"x":1}}""");
        await server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{id}}}, "progress":1}}""");
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p", "progress":1}}""");
        await server.SayAsync(Wire.Result(call["id"], """{"content":[ 1.0 ]}"""));
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":{"content":[ 1.0 ],"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"2"}}}}""");
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}""", -32602)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"tools/list"}""", -32602)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}""", -32022)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}""", -32601)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}""", -32601)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}""", -32602)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":[],"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}""", -32602)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":"a:/b"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}""", -32602)]
    public async Task What_a_modern_server_refuses_is_refused(string request, int code)
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(request);

        (await client.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(code);
        server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Questions_become_an_answer_that_asks_and_the_answers_find_back()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        var call = await NextAsync(server);
        await AskAsync(server, "\"q\"", "elicitation/create", Elicitation);
        await AskAsync(server, "8", "roots/list");
        var asked = await AskedAsync(client);
        asked["inputRequests"]!["q1"]!.ToJsonString().ShouldBe("""{"method":"elicitation/create","params":{"message":"m","requestedSchema":{}}}""");
        asked["inputRequests"]!["q2"]!.ToJsonString().ShouldBe("""{"method":"roots/list"}""");
        Bridge.WaitingCallCount.ShouldBe(1);

        await client.SayAsync(Retry(2, asked, """{"q1":{"action":"accept","content":{"n":1.0}},"q2":{"roots":[]}}"""));
        (await server.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"q","result":{"action":"accept","content":{"n":1.0}}}""");
        (await server.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":8,"result":{"roots":[]}}""");
        server.HasNothingMore.ShouldBeTrue("the call is in flight there, and not made again");
        await server.SayAsync(Wire.Result(call["id"], "{}"));
        (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(2);
        Bridge.WaitingCallCount.ShouldBe(0);
    }

    [Fact]
    public async Task Question_that_the_client_is_not_capable_of_is_refused_to_the_server_and_the_call_goes_on()
    {
        var (client, _) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1).Replace(Wire.Capabilities, """{"elicitation":{}}""", StringComparison.Ordinal));
        var server = await Upstream.NextAsync();
        var call = await NextAsync(server);
        await AskAsync(server, "1", "sampling/createMessage", "{}");
        var refusal = JsonNode.Parse(await server.NextJsonAsync())!;
        refusal["error"]!["code"]!.GetValue<int>().ShouldBe(-32601);
        refusal["error"]!["message"]!.GetValue<string>().ShouldContain("sampling");
        await AskAsync(server, "2", "elicitation/create", """{"mode":"url"}""");
        (await server.NextJsonAsync()).ShouldContain("elicitation.url");
        await server.SayAsync(Wire.Result(call["id"], "{}"));
        (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(1);
    }

    [Fact]
    public async Task Further_questions_are_another_round_and_missing_answers_are_asked_for_again()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        var call = await NextAsync(server);
        await AskAsync(server, "1", "elicitation/create", Elicitation);
        await AskAsync(server, "2", "roots/list");
        var asked = await AskedAsync(client);
        await client.SayAsync(Retry(2, asked, """{"q1":{"action":"decline"},"unknown":1}"""));
        (await server.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":{"action":"decline"}}""");
        var again = await AskedAsync(client);
        again["inputRequests"]!.AsObject().Select(member => member.Key).ShouldBe(["q2"]);
        await client.SayAsync(Retry(3, again, """{"q2":{"roots":[]}}"""));
        await server.NextJsonAsync();
        await AskAsync(server, "3", "roots/list");
        var third = await AskedAsync(client);
        await client.SayAsync(Retry(9, asked, """{"q3":{"roots":[]}}"""));
        (await client.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602, "the state of an earlier round");
        server.HasNothingMore.ShouldBeTrue();
        await client.SayAsync(Retry(4, third, """{"q3":{"roots":[]}}"""));
        (await server.NextJsonAsync()).ShouldContain("\"id\":3");
        await server.SayAsync(Wire.Result(call["id"], "{}"));
        (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(4);
    }

    [Fact]
    public async Task State_that_was_used_or_changed_or_is_anothers_reaches_no_server()
    {
        var (client, server) = await OpenAsync("alice");
        await client.SayAsync(Wire.ModernCall(1));
        await NextAsync(server);
        await AskAsync(server, "1", "roots/list");
        var asked = await AskedAsync(client);
        const string Answers = """{"q1":{"roots":[]}}""";

        var stranger = Connect("bob");
        await stranger.SayAsync(Retry(2, asked, Answers));
        (await stranger.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602);

        var state = asked["requestState"]!.GetValue<string>();
        var same = Connect("alice");
        await same.SayAsync(Wire.ModernCall(3, $",\"requestState\":\"{state}\",\"inputResponses\":{Answers}", tool: "another"));
        (await same.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602);
        await same.SayAsync(Wire.ModernCall(4, $",\"requestState\":\"{state[..^1]}{(state[^1] == 'A' ? 'Q' : 'A')}\",\"inputResponses\":{Answers}"));
        (await same.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602);
        await same.SayAsync(Wire.ModernCall(5, ",\"requestState\":7"));
        (await same.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602);
        server.HasNothingMore.ShouldBeTrue();

        await same.SayAsync(Retry(6, asked, Answers));
        (await server.NextJsonAsync()).ShouldContain("roots");
        await same.SayAsync(Retry(7, asked, Answers));
        (await same.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602, "used already");
        server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Client_that_never_comes_back_is_given_up()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        var call = await NextAsync(server);
        await AskAsync(server, "1", "roots/list");
        var asked = await AskedAsync(client);
        Time.Advance(TimeSpan.FromMinutes(6));

        (await server.NextJsonAsync()).ShouldContain("has not answered in time");
        (await NextAsync(server))["params"]!["requestId"]!.ToJsonString().ShouldBe(call["id"]!.ToJsonString());
        Bridge.WaitingCallCount.ShouldBe(0);
        await client.SayAsync(Retry(2, asked, "{}"));
        (await client.NextObjectAsync())["error"]!["code"]!.GetValue<int>().ShouldBe(-32602);
    }

    [Fact]
    public async Task Death_of_the_server_while_the_client_looks_for_answers_is_told_when_it_comes_back()
    {
        var (client, server) = await OpenAsync("alice");
        await client.SayAsync(Wire.ModernCall(1));
        await NextAsync(server);
        await AskAsync(server, "1", "roots/list");
        var asked = await AskedAsync(client);
        server.End(ConnectionEndReason.ChildExited, "it died", 3);
        await client.SayAsync(Wire.ModernCall(2, $",\"inputResponses\":{{\"q1\":{{}}}},\"requestState\":{asked["requestState"]!.ToJsonString()}", ",\"io.modelcontextprotocol/logLevel\":\"info\""));

        (await client.NextObjectAsync())["error"]!["message"]!.GetValue<string>().ShouldContain("it died");
        await client.SayAsync(Wire.ModernCall(3));
        (await NextAsync(await Upstream.NextAsync()))["method"]!.GetValue<string>().ShouldBe("tools/call", "the next call starts it anew");
    }

    [Fact]
    public async Task Clients_of_different_principals_never_share_a_session()
    {
        var (alice, first) = await OpenAsync("alice");
        var bob = Connect("bob");
        await bob.SayAsync(Wire.ModernCall(1));
        var second = await Upstream.NextAsync();
        await NextAsync(second);
        await alice.SayAsync(Wire.ModernCall(1));
        await NextAsync(first);
        await AskAsync(first, "1", "elicitation/create", Elicitation);
        await AskAsync(second, "1", "roots/list");

        (await AskedAsync(alice))["inputRequests"]!["q1"]!["method"]!.GetValue<string>().ShouldBe("elicitation/create");
        (await AskedAsync(bob))["inputRequests"]!["q1"]!["method"]!.GetValue<string>().ShouldBe("roots/list");
        Bridge.SessionCount.ShouldBe(2);
    }

    [Fact]
    public async Task Question_over_HTTP_belongs_to_the_call_on_whose_stream_it_comes()
    {
        HasRequestStreams = true;
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        var first = await NextAsync(server);
        await client.SayAsync(Wire.ModernCall(2));
        await NextAsync(server);
        await server.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"roots/list"}""", JsonRpcId.FromNumber(first["id"]!.GetValue<int>()));

        (await AskedAsync(client, id: 1)).ShouldNotBeNull();
    }

    /// <summary>Over a transport that does not say which call a question belongs to it may be given to one that the server is just done with.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Question_of_a_call_is_not_lost_with_another_that_was_given_it(bool isClientLookingForAnswers)
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        var first = await NextAsync(server);
        await client.SayAsync(Wire.ModernCall(2));
        var second = await NextAsync(server);
        JsonNode? asked = null;
        if (isClientLookingForAnswers)
        {
            // Both clients look for answers when a third question comes, which goes to the newest call.
            await AskAsync(server, "1", "roots/list");
            asked = await AskedAsync(client, id: 2);
            await AskAsync(server, "2", "elicitation/create", Elicitation);
            var askedFirst = await AskedAsync(client, id: 1);
            await AskAsync(server, "3", "roots/list");
            await client.SayAsync(Retry(3, askedFirst, """{"q1":{"action":"decline"}}"""));
            await server.NextJsonAsync();
            await server.SayAsync(Wire.Result(second["id"], "{}"));
            await client.SayAsync(Retry(4, asked, """{"q1":{"roots":[]}}"""));
            await server.NextJsonAsync();
            (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(4);
        }
        else
        {
            await AskAsync(server, "3", "roots/list");
            await server.SayAsync(Wire.Result(second["id"], "{}"));
            (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(2);
        }

        var passedOn = await AskedAsync(client, id: isClientLookingForAnswers ? 3 : 1);
        var key = passedOn["inputRequests"]!.AsObject().Single().Key;
        await client.SayAsync(Retry(5, passedOn, $$$"""{"{{{key}}}":{"roots":[{"uri":"file:///a"}]}}"""));
        (await server.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":3,"result":{"roots":[{"uri":"file:///a"}]}}""");
        await server.SayAsync(Wire.Result(first["id"], "{}"));
        (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(5);
    }

    [Theory]
    [InlineData(false, "cannot be asked")]
    [InlineData(true, "has been answered")]
    public async Task Server_is_told_when_the_call_that_a_question_was_given_to_is_over_and_there_is_no_other(bool isOnItsStream, string problem)
    {
        HasRequestStreams = isOnItsStream;
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        var call = await NextAsync(server);
        await server.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"roots/list"}""", isOnItsStream ? JsonRpcId.FromNumber(call["id"]!.GetValue<int>()) : default);
        await server.SayAsync(Wire.Result(call["id"], "{}"));
        (await client.NextObjectAsync())["id"]!.GetValue<int>().ShouldBe(1);

        (await server.NextJsonAsync()).ShouldContain(problem);
        Time.Advance(TimeSpan.FromMilliseconds(10));
        client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Server_is_told_when_there_is_nobody_to_ask()
    {
        var (_, server) = await OpenAsync();
        await AskAsync(server, "1", "roots/list");
        (await server.NextJsonAsync()).ShouldContain("cannot be asked");
        await AskAsync(server, "2", "custom/thing");
        (await server.NextJsonAsync()).ShouldContain("-32601");
        await AskAsync(server, "3", "ping");
        (await server.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":3,"result":{}}""");
    }

    [Fact]
    public async Task Cancelled_call_is_cancelled_there_under_its_own_id()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        var call = await NextAsync(server);
        await client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}""");

        (await NextAsync(server))["params"]!["requestId"]!.ToJsonString().ShouldBe(call["id"]!.ToJsonString());
        await server.SayAsync(Wire.Result(call["id"], "{}"));
        client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Client_that_leaves_cancels_what_it_has_in_flight()
    {
        var (client, server) = await OpenAsync("alice");
        await client.SayAsync(Wire.ModernCall(1));
        var call = await NextAsync(server);
        await client.DisposeAsync();

        (await NextAsync(server))["params"]!["requestId"]!.ToJsonString().ShouldBe(call["id"]!.ToJsonString());
    }

    [Fact]
    public async Task Log_messages_reach_requests_that_asked_for_such_and_nobody_else()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1, meta: ",\"io.modelcontextprotocol/logLevel\":\"warning\""));
        (await NextAsync(server))["params"]!["level"]!.GetValue<string>().ShouldBe("warning");
        await NextAsync(server);
        await LogAsync(server, "info");
        await LogAsync(server, "error");
        (await client.NextObjectAsync())["params"]!["level"]!.GetValue<string>().ShouldBe("error");
        await client.SayAsync(Wire.ModernCall(2, meta: ",\"io.modelcontextprotocol/logLevel\":\"warning\""));
        (await NextAsync(server))["method"]!.GetValue<string>().ShouldBe("tools/call", "the level is the same");

        var (silent, other) = await OpenAsync("alice");
        await silent.SayAsync(Wire.ModernCall(1));
        await NextAsync(other);
        await LogAsync(other, "emergency");
        silent.HasNothingMore.ShouldBeTrue("it did not ask");
    }

    [Fact]
    public async Task Listener_is_told_what_it_asked_for_and_resources_are_counted()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Listen("a", """{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["test://r"]}"""));
        (await NextAsync(server))["method"]!.GetValue<string>().ShouldBe("resources/subscribe");
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"a"},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["test://r"]}}}""");
        await client.SayAsync(Listen("b", """{"resourceSubscriptions":["test://r"]}"""));
        await client.NextAsync();
        server.HasNothingMore.ShouldBeTrue("it is subscribed to already");

        await server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
        (await client.NextAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"a"}}}""");
        await server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://r"}}""");
        (await client.NextAsync()).ShouldContain("\"subscriptionId\":\"a\"".Replace("subscriptionId", "io.modelcontextprotocol/subscriptionId", StringComparison.Ordinal));
        (await client.NextAsync()).ShouldContain("\"io.modelcontextprotocol/subscriptionId\":\"b\"");
        await server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://other"}}""");

        await client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}""");
        server.HasNothingMore.ShouldBeTrue("another listener is left");
        await client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"b"}}""");
        (await NextAsync(server))["method"]!.GetValue<string>().ShouldBe("resources/unsubscribe");
        client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Page_that_the_user_has_to_go_to_first_becomes_a_question_and_the_call_is_made_again()
    {
        var (client, server) = await OpenAsync();
        await client.SayAsync(Wire.ModernCall(1));
        await server.SayAsync(Wire.Error((await NextAsync(server))["id"], -32042, """{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://x/","message":"m"}]}"""));
        var asked = await AskedAsync(client);
        asked["inputRequests"]!["q1"]!.ToJsonString().ShouldBe("""{"method":"elicitation/create","params":{"mode":"url","url":"https://x/","message":"m"}}""");
        await client.SayAsync(Retry(2, asked, """{"q1":{"action":"accept"}}"""));
        var again = await NextAsync(server);
        again["method"]!.GetValue<string>().ShouldBe("tools/call");
        await server.SayAsync(Wire.Error(again["id"], -32042, """{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://x/","message":"m"}]}"""));
        await client.SayAsync(Retry(3, await AskedAsync(client), """{"q1":{"action":"decline"}}"""));

        (await client.NextObjectAsync())["error"]!["message"]!.GetValue<string>().ShouldContain("declined");
        server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Thousand_calls_may_wait_for_input_at_once()
    {
        HasRequestStreams = true;
        var (client, server) = await OpenAsync("alice");
        List<JsonNode> asked = [];
        for (var i = 0; i < 1000; i++)
        {
            await client.SayAsync(Wire.ModernCall(i));
            var call = await NextAsync(server);
            await server.SayAsync($$"""{"jsonrpc":"2.0","id":{{i}},"method":"roots/list"}""", JsonRpcId.FromNumber(call["id"]!.GetValue<int>()));
            asked.Add(await AskedAsync(client));
        }

        Bridge.WaitingCallCount.ShouldBe(1000);
        for (var i = 999; i >= 0; i--)
        {
            await client.SayAsync(Retry(i, asked[i], """{"q1":{"roots":[]}}"""));
            (await server.NextJsonAsync()).ShouldStartWith($$"""{"jsonrpc":"2.0","id":{{i}},""");
        }

        Bridge.WaitingCallCount.ShouldBe(0);
    }

    [Fact]
    public async Task Unused_session_is_closed_and_one_that_waits_for_input_is_not()
    {
        var (client, server) = await OpenAsync("alice");
        await client.SayAsync(Wire.ModernCall(1));
        var call = await NextAsync(server);
        Time.Advance(TimeSpan.FromMinutes(20));
        server.IsDisposed.ShouldBeFalse("a call is in flight");
        await server.SayAsync(Wire.Result(call["id"], "{}"));
        await client.NextAsync();
        while (!server.IsDisposed)
        {
            // Unused from when the request's last step is over, of which nothing tells.
            await Task.Delay(1, TestContext.Current.CancellationToken);
            Time.Advance(TimeSpan.FromMinutes(6));
        }

        Bridge.SessionCount.ShouldBe(0);
    }

    private static Task AskAsync(FakePeer server, string id, string method, string? parameters = null) =>
        server.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"method":"{{method}}"{{(parameters is null ? "" : $",\"params\":{parameters}")}}}""");

    private static Task LogAsync(FakePeer server, string level) =>
        server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"{{{level}}}","data":1}}""");

    private static string Listen(string id, string notifications) =>
        $"{{\"jsonrpc\":\"2.0\",\"id\":\"{id}\",\"method\":\"subscriptions/listen\",\"params\":{{\"notifications\":{notifications},\"_meta\":{{{Wire.Meta}}}}}}}";

    private static string Retry(int id, JsonNode asked, string answers) =>
        Wire.ModernCall(id, $",\"inputResponses\":{answers},\"requestState\":{asked["requestState"]!.ToJsonString()}");

    /// <summary>The result that asks the client for input, once the time for gathering questions is over.</summary>
    private async Task<JsonNode> AskedAsync(BridgeClient client, int? id = null)
    {
        // Gathering has begun when the server's question was taken.
        Time.Advance(TimeSpan.FromMilliseconds(10));
        var message = await client.NextObjectAsync();
        message["result"]!["resultType"]!.GetValue<string>().ShouldBe("input_required");
        if (id is not null)
        {
            message["id"]!.GetValue<int>().ShouldBe(id.Value);
        }

        return message["result"]!;
    }

    private async Task<(BridgeClient Client, FakePeer Server)> OpenAsync(string? principal = null)
    {
        var client = principal is null ? Connect() : Connect(principal);
        await client.SayAsync(Wire.Discover);
        await client.NextAsync();
        var server = await Upstream.NextAsync();
        while (!server.HasNothingMore)
        {
            await server.NextJsonAsync();
        }

        return (client, server);
    }
}
