using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Relay.Restarting;
using McpProxy.Relay.Sharing;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Relay.Sharing;

/// <summary>Several clients of the legacy era on one server: each thinks that it is alone.</summary>
public sealed class SharedSessionsTests : IAsyncLifetime
{
    private const string Initialized = """{"jsonrpc":"2.0","method":"notifications/initialized"}""";

    private readonly FakePeer _first = new() { HasRequestStreams = true };
    private readonly FakePeer _second = new() { HasRequestStreams = true };
    private readonly FakeUpstream _upstream = new(() => new FakePeer());
    private readonly ManualTime _time = new();
    private readonly List<string> _deaths = [];
    private readonly SharedUpstream _shared;
    private FakePeer _server = null!;

    public SharedSessionsTests()
    {
        var restarting = new RestartingUpstream(_upstream, _time);
        restarting.Died += end => _deaths.Add(end.Detail);
        _shared = new(restarting, null, new(), _time);
    }

    public ValueTask InitializeAsync()
    {
        Run(_first);
        Run(_second);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _shared.DisposeAsync();

    [Fact]
    public async Task The_second_client_is_introduced_with_the_answer_to_the_first()
    {
        await IntroduceAsync();
        _server.HasNothingMore.ShouldBeTrue("one initialize and one initialized are all that the server hears");
        _upstream.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_first_client_that_leaves_before_the_answer_costs_the_second_nothing()
    {
        await _first.SayAsync(Initialize(1));
        _server = await _upstream.NextAsync();
        await _server.NextJsonAsync();
        await _second.SayAsync(Initialize("b"));
        _first.End(ConnectionEndReason.TransportFailed, "gone");
        await UntilAsync(() => _first.IsDisposed);
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{"name":"s"}}""");
        (await _second.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"b","result":{"name":"s"}}""");
    }

    [Fact]
    public async Task A_refused_introduction_is_the_next_clients_chance()
    {
        await _first.SayAsync(Initialize(1));
        _server = await _upstream.NextAsync();
        await _server.NextJsonAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}""");
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}""");
        await _second.SayAsync(Initialize(1));
        await AnswerAsync();
        (await _second.NextJsonAsync()).ShouldContain("\"result\"");
    }

    [Fact]
    public async Task Equal_ids_and_tokens_do_not_meet()
    {
        await IntroduceAsync();
        const string Call = """{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"_meta":{"progressToken":2}}}""";
        var (one, two) = (await CallAsync(_first, Call), await CallAsync(_second, Call));
        await _server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{two}}},"progress":2}}""");
        await _server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{one}}},"progress":1}}""");
        await _server.SayAsync($$"""{"jsonrpc":"2.0","id":{{two}},"result":"two"}""");
        await _server.SayAsync($$"""{"jsonrpc":"2.0","id":{{one}},"result":"one"}""");
        (await _first.NextJsonAsync()).ShouldContain("\"progressToken\":2,\"progress\":1}");
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":2,"result":"one"}""");
        (await _second.NextJsonAsync()).ShouldContain("\"progressToken\":2,\"progress\":2}");
        (await _second.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":2,"result":"two"}""");
        NobodyHearsMore();
    }

    [Fact]
    public async Task Progress_that_comes_too_late_is_nobodys()
    {
        await IntroduceAsync();
        var id = await CallAsync(_first, """{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"_meta":{"progressToken":9}}}""");
        await CallAsync(_second, """{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"_meta":{"progressToken":2}}}""");
        await _first.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}""");
        (await _server.NextJsonAsync()).ShouldContain($"\"requestId\":{id}");
        await _server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{id}}},"message":"the first's secret"}}""");
        await _server.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"result":"the first's secret"}""");
        NobodyHearsMore();
    }

    [Fact]
    public async Task A_client_can_cancel_only_what_is_its_own()
    {
        await IntroduceAsync();
        var id = await CallAsync(_first, """{"jsonrpc":"2.0","id":7,"method":"tools/call"}""");
        foreach (var guess in new[] { "7", id })
        {
            await _second.SayAsync($$$$"""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{{{{guess}}}}}}""");
        }

        await _second.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{{{id}}},"progress":1}}""");
        _server.HasNothingMore.ShouldBeTrue();
        await _server.SayAsync($$"""{"jsonrpc":"2.0","id":{{id}},"result":"one"}""");
        (await _first.NextJsonAsync()).ShouldContain("one");
    }

    [Fact]
    public async Task Updates_reach_those_who_subscribed_and_the_last_one_switches_off_the_light()
    {
        await IntroduceAsync();
        const string Subscribe = """{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"a:1"}}""";
        const string Unsubscribe = """{"jsonrpc":"2.0","id":3,"method":"resources/unsubscribe","params":{"uri":"a:1"}}""";
        const string Updated = """{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1"}}""";
        await AskAsync(_first, Subscribe);
        await _server.SayAsync(Updated);
        (await _first.NextJsonAsync()).ShouldBe(Updated);
        NobodyHearsMore();
        await AskAsync(_second, Subscribe);
        await _server.SayAsync(Updated);
        (await _first.NextJsonAsync()).ShouldBe(Updated);
        (await _second.NextJsonAsync()).ShouldBe(Updated);
        await _first.SayAsync(Unsubscribe);
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":3,"result":{}}""");
        _server.HasNothingMore.ShouldBeTrue("somebody is still subscribed");
        await _server.SayAsync(Updated);
        (await _second.NextJsonAsync()).ShouldBe(Updated);
        NobodyHearsMore();
        (await AskAsync(_second, Unsubscribe)).ShouldContain("resources/unsubscribe");
    }

    [Fact]
    public async Task A_subscription_that_the_server_refused_brings_nothing()
    {
        await IntroduceAsync();
        var id = await CallAsync(_first, """{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"a:1"}}""");
        await _server.SayAsync($$$"""{"jsonrpc":"2.0","id":{{{id}}},"error":{"code":-32602,"message":"no"}}""");
        (await _first.NextJsonAsync()).ShouldContain("-32602");
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1"}}""");
        NobodyHearsMore();
    }

    [Fact]
    public async Task Each_client_hears_the_log_level_that_it_asked_for()
    {
        await IntroduceAsync();
        (await AskAsync(_first, Level("info"))).ShouldContain("\"level\":\"info\"");
        (await AskAsync(_second, Level("error"))).ShouldContain("\"level\":\"info\"", customMessage: "the server has to tell what the more curious one wants");
        await LogAsync(_second, "info");
        NobodyHearsMore();
        await LogAsync(_second, "error");
        (await _second.NextJsonAsync()).ShouldContain("\"error\"");
        await LogAsync(_first, "info");
        (await _first.NextJsonAsync()).ShouldContain("\"info\"");
        NobodyHearsMore();
        _first.End(ConnectionEndReason.TransportFailed, "gone");
        (await _server.NextJsonAsync()).ShouldContain("\"level\":\"error\"");

        static string Level(string level) => $$$"""{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"{{{level}}}"}}""";

        async Task LogAsync(FakePeer caller, string level)
        {
            var id = await CallAsync(caller, """{"jsonrpc":"2.0","id":"log","method":"tools/call"}""");
            await _server.SayAsync($$$"""{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"{{{level}}}"}}""");
            await caller.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"log"}}""");
            (await _server.NextJsonAsync()).ShouldContain($"\"requestId\":{id}");

            // Until then the server could still speak of it.
            _time.Advance(TimeSpan.FromSeconds(5));
        }
    }

    [Fact]
    public async Task The_server_asks_the_client_whose_call_it_serves_and_nobody_else_can_answer()
    {
        await IntroduceAsync();
        await CallAsync(_second, """{"jsonrpc":"2.0","id":5,"method":"tools/call"}""");
        await CallAsync(_first, """{"jsonrpc":"2.0","id":6,"method":"tools/list"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"_meta":{"progressToken":0}}}""");
        var question = await _second.NextAsync();
        question.Json.ShouldContain("elicitation");
        question.Related.ShouldBe(JsonRpcId.FromNumber(5));
        await _first.SayAsync("""{"jsonrpc":"2.0","id":0,"result":"forged"}""");
        await _first.SayAsync("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}""");
        _server.HasNothingMore.ShouldBeTrue();
        await _second.SayAsync("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":2}}""");
        (await _server.NextJsonAsync()).ShouldContain("\"progress\":2");
        await _second.SayAsync("""{"jsonrpc":"2.0","id":0,"result":"real"}""");
        (await _server.NextJsonAsync()).ShouldContain("real");
        _first.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task A_question_that_could_be_for_either_is_answered_at_once()
    {
        await IntroduceAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"idle","method":"roots/list"}""");
        (await _server.NextJsonAsync()).ShouldContain("\"id\":\"idle\",\"error\":{\"code\":-32601");
        await CallAsync(_first, """{"jsonrpc":"2.0","id":5,"method":"tools/call"}""");
        await CallAsync(_second, """{"jsonrpc":"2.0","id":5,"method":"tools/call"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"busy","method":"elicitation/create"}""");
        (await _server.NextJsonAsync()).ShouldContain("\"id\":\"busy\",\"error\":{\"code\":-32601");
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"whose?"}}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"p","method":"ping"}""");
        (await _server.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"p","result":{}}""");
        NobodyHearsMore();
    }

    [Fact]
    public async Task A_client_is_asked_only_what_it_has_declared()
    {
        await IntroduceAsync();
        await CallAsync(_first, """{"jsonrpc":"2.0","id":5,"method":"tools/call"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage"}""");
        (await _server.NextJsonAsync()).ShouldContain("\"id\":\"q\",\"error\":{\"code\":-32601");
        NobodyHearsMore();
    }

    [Fact]
    public async Task Changed_lists_concern_all_who_are_introduced()
    {
        await IntroduceAsync();
        var stranger = new FakePeer { HasRequestStreams = true };
        Run(stranger);
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
        (await _first.NextJsonAsync()).ShouldContain("list_changed");
        (await _second.NextJsonAsync()).ShouldContain("list_changed");
        stranger.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task What_a_client_leaves_behind_is_cleared_away()
    {
        await IntroduceAsync();
        await AskAsync(_first, """{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"a:\"1\""}}""");
        await AskAsync(_first, """{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a:2"}}""");
        await AskAsync(_second, """{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"a:2"}}""");
        var id = await CallAsync(_first, """{"jsonrpc":"2.0","id":4,"method":"tools/call"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}""");
        await _first.NextJsonAsync();
        _first.End(ConnectionEndReason.TransportFailed, "gone");
        var left = new List<string>();
        while (left.Count < 3)
        {
            left.Add(await _server.NextJsonAsync());
        }

        left.ShouldContain(message => message.Contains($"\"requestId\":{id}"));
        left.ShouldContain(message => message.Contains("\"id\":\"q\",\"error\""));
        JsonMembers.AsString(JsonMembers.Find(Parse(left.Single(message => message.Contains("resources/unsubscribe", StringComparison.Ordinal))).Params, "uri"u8)).ShouldBe("a:\"1\"");
        await CallAsync(_second, """{"jsonrpc":"2.0","id":4,"method":"tools/call"}""");
    }

    [Fact]
    public async Task A_server_that_dies_keeps_all_sessions()
    {
        await IntroduceAsync();
        await AskAsync(_first, """{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"a:1"}}""");
        await AskAsync(_second, """{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"error"}}""");
        await CallAsync(_first, """{"jsonrpc":"2.0","id":3,"method":"tools/call"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}""");
        (await _first.NextJsonAsync()).ShouldContain("elicitation");
        await CallAsync(_second, """{"jsonrpc":"2.0","id":3,"method":"tools/list"}""");
        _server.End(ConnectionEndReason.ChildExited, "it fell over", 1);
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"it fell over"}}""");
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"it fell over"}}""");
        (await _second.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"it fell over"}}""");
        var dead = _server;
        await UntilAsync(() => dead.IsDisposed);

        var asking = _second.SayAsync("""{"jsonrpc":"2.0","id":4,"method":"tools/call"}""");
        _server = await _upstream.NextAsync();
        (await AnswerAsync()).ShouldContain("initialize");
        (await _server.NextJsonAsync()).ShouldBe(Initialized);
        (await AnswerAsync()).ShouldContain("\"level\":\"error\"");
        (await AnswerAsync()).ShouldContain("a:1");
        (await _server.NextJsonAsync()).ShouldContain("tools/call");
        await asking;
        NobodyHearsMore();

        // The new server counts from the beginning again.
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}""");
        (await _second.NextJsonAsync()).ShouldContain("elicitation");
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1"}}""");
        (await _first.NextJsonAsync()).ShouldContain("updated");
        NobodyHearsMore();
    }

    [Fact]
    public async Task The_client_that_was_asked_by_a_dead_server_can_be_asked_under_the_same_id()
    {
        await IntroduceAsync();
        await CallAsync(_first, """{"jsonrpc":"2.0","id":3,"method":"tools/call"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}""");
        await _first.NextJsonAsync();
        var dead = _server;
        dead.End(ConnectionEndReason.ChildExited, "it fell over", 1);
        await UntilAsync(() => dead.IsDisposed);
        await _first.NextJsonAsync();
        await _first.NextJsonAsync();
        var asking = _first.SayAsync("""{"jsonrpc":"2.0","id":4,"method":"tools/call"}""");
        _server = await _upstream.NextAsync();
        await AnswerAsync();
        await _server.NextJsonAsync();
        await _server.NextJsonAsync();
        await asking;
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}""");
        (await _first.NextJsonAsync()).ShouldContain("elicitation");
        await _first.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"real"}""");
        (await _server.NextJsonAsync()).ShouldContain("real");
    }

    [Fact]
    public async Task A_client_that_does_not_read_holds_up_nobody()
    {
        await IntroduceAsync();
        var readable = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _first.Readable = readable.Task;
        for (var i = 0; i < 100; i++)
        {
            await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
            await _second.NextJsonAsync();
        }

        (await AskAsync(_second, """{"jsonrpc":"2.0","id":4,"method":"tools/call"}""")).ShouldContain("tools/call");
        readable.SetResult();
        for (var i = 0; i < 100; i++)
        {
            await _first.NextJsonAsync();
        }
    }

    [Fact]
    public async Task A_client_that_never_reads_is_given_up_alone()
    {
        await IntroduceAsync();
        _first.Readable = new TaskCompletionSource().Task;
        for (var count = 0; count < 10_010; count++)
        {
            await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
            await _second.NextJsonAsync();
        }

        await UntilAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            return _first.IsDisposed;
        });

        (await AskAsync(_second, """{"jsonrpc":"2.0","id":4,"method":"tools/call"}""")).ShouldContain("tools/call");
    }

    private static string Initialize(object id) =>
        $$$$$"""{"jsonrpc":"2.0","id":{{{{{(id is string ? $"\"{id}\"" : id)}}}}},"method":"initialize","params":{"capabilities":{"elicitation":{},"roots":{}}}}""";

    [Fact]
    public async Task A_call_that_was_given_up_can_still_be_what_the_server_speaks_of()
    {
        await IntroduceAsync();
        await CallAsync(_first, """{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{}}""");
        await CallAsync(_second, """{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{}}""");
        await _first.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}""");
        await _server.NextJsonAsync();
        const string Log = """{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"of the first client's call"}}""";
        await _server.SayAsync(Log);
        NobodyHearsMore();
        _time.Advance(TimeSpan.FromSeconds(5));
        await _server.SayAsync(Log.Replace("first", "second", StringComparison.Ordinal));
        (await _second.NextJsonAsync()).ShouldContain("of the second client's call");
    }

    [Fact]
    public async Task A_client_s_own_call_that_was_given_up_keeps_nothing_from_it()
    {
        await IntroduceAsync();
        await CallAsync(_first, """{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{}}""");
        await _first.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}""");
        await _server.NextJsonAsync();
        await CallAsync(_first, """{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{}}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"of the second try"}}""");
        (await _first.NextJsonAsync()).ShouldContain("of the second try");
    }

    [Fact]
    public async Task A_task_can_be_asked_for_by_who_began_it_only()
    {
        await IntroduceAsync();
        var id = await CallAsync(_first, """{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"task":{}}}""");
        await _server.SayAsync($$$$"""{"jsonrpc":"2.0","id":{{{{id}}}},"result":{"task":{"taskId":"t1","status":"working"}}}""");
        await _first.NextJsonAsync();
        await _second.SayAsync("""{"jsonrpc":"2.0","id":4,"method":"tasks/result","params":{"taskId":"t1"}}""");
        (await _second.NextJsonAsync()).ShouldContain("-32602");
        await _second.SayAsync("""{"jsonrpc":"2.0","id":5,"method":"tasks/list"}""");
        (await _second.NextJsonAsync()).ShouldContain("-32601");
        _server.HasNothingMore.ShouldBeTrue();
        (await AskAsync(_first, """{"jsonrpc":"2.0","id":6,"method":"tasks/get","params":{"taskId":"t1"}}""")).ShouldContain("tasks/get");
    }

    private static JsonRpcMessage Parse(string json) =>
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out _) ? message : throw new ArgumentException(json, nameof(json));

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private async Task IntroduceAsync()
    {
        await _first.SayAsync(Initialize(1));
        _server = await _upstream.NextAsync();
        await AnswerAsync();
        (await _first.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        await _first.SayAsync(Initialized);
        (await _server.NextJsonAsync()).ShouldBe(Initialized);
        await _second.SayAsync(Initialize("b"));
        (await _second.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":"b","result":{}}""");
        await _second.SayAsync(Initialized);
    }

    /// <summary>Begins a request.</summary>
    /// <returns>The id that the server knows it by.</returns>
    private async Task<string> CallAsync(FakePeer client, string request)
    {
        await client.SayAsync(request);
        return Parse(await _server.NextJsonAsync()).Id.ToString();
    }

    /// <summary>Asks, and has the server answer.</summary>
    /// <returns>What the server heard.</returns>
    private async Task<string> AskAsync(FakePeer client, string request)
    {
        await client.SayAsync(request);
        var heard = await AnswerAsync();
        (await client.NextJsonAsync()).ShouldContain("\"result\"");
        return heard;
    }

    private async Task<string> AnswerAsync()
    {
        var request = await _server.NextJsonAsync();
        await _server.SayAsync($$$"""{"jsonrpc":"2.0","id":{{{Encoding.UTF8.GetString(Parse(request).Id.Utf8Text.Span)}}},"result":{}}""");
        return request;
    }

    private void NobodyHearsMore()
    {
        _first.HasNothingMore.ShouldBeTrue();
        _second.HasNothingMore.ShouldBeTrue();
    }

    private void Run(FakePeer client) => _ = new RelaySession(client, _shared.Connect(), null, _time).RunAsync(TestContext.Current.CancellationToken);
}
