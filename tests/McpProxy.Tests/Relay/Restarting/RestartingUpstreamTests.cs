using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Relay.Restarting;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Relay.Restarting;

/// <summary>A server dies, in every state that a session can be in.</summary>
public sealed class RestartingUpstreamTests
{
    private const string Initialize = """{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"x":1}}""";
    private const string Initialized = """{"jsonrpc":"2.0","method":"notifications/initialized"}""";

    private readonly FakePeer _client = new() { HasRequestStreams = true };
    private readonly FakeUpstream _upstream = new(() => new FakePeer());
    private readonly ManualTime _time = new();
    private readonly List<string> _deaths = [];
    private readonly CancellationTokenSource _stop = new();

    [Fact]
    public async Task The_next_server_hears_what_the_client_had_told_the_one_before_it()
    {
        _ = Run();
        var first = await StartedAsync();
        foreach (var request in (string[])
            [
                """{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"info"}}""",
                """{"jsonrpc":"2.0","id":3,"method":"logging/setLevel","params":{"level":"error"}}""",
                """{"jsonrpc":"2.0","id":4,"method":"resources/subscribe","params":{"uri":"a:1"}}""",
                """{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":"a:2"}}""",
                """{"jsonrpc":"2.0","id":6,"method":"resources/unsubscribe","params":{"uri":"a:1"}}""",
            ])
        {
            await _client.SayAsync(request);
            await AnswerAsync(first);
            await _client.NextJsonAsync();
        }

        await _client.SayAsync("""{"jsonrpc":"2.0","id":7,"method":"tools/call"}""");
        await first.NextJsonAsync();
        first.End(ConnectionEndReason.ChildExited, "it fell over", 9);
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"it fell over"}}""");
        first.HasNothingMore.ShouldBeTrue();
        await _client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/unheard"}""");
        _upstream.Count.ShouldBe(1, "only a request starts a server");

        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":8,"method":"tools/list"}""");
        var second = await _upstream.NextAsync();
        (await AnswerAsync(second)).ShouldBe("""{"jsonrpc":"2.0","id":"mcp-proxy/restart/1","method":"initialize","params":{"x":1}}""");
        (await second.NextJsonAsync()).ShouldBe(Initialized);
        (await AnswerAsync(second)).ShouldContain("\"level\":\"error\"");
        (await AnswerAsync(second)).ShouldContain("a:2");
        (await AnswerAsync(second)).ShouldBe("""{"jsonrpc":"2.0","id":8,"method":"tools/list"}""");
        await asking;
        (await _client.NextJsonAsync()).ShouldContain("\"id\":8,\"result\"", customMessage: "the answers to what the client did not ask are hidden");
        _client.HasNothingMore.ShouldBeTrue();
        _deaths.ShouldBe(["it fell over"]);
    }

    [Fact]
    public async Task A_server_that_dies_before_initialized_gets_it_told_all_the_same()
    {
        _ = Run();
        await _client.SayAsync(Initialize);
        var first = await _upstream.NextAsync();
        await AnswerAsync(first);
        await _client.NextJsonAsync();
        await DieAsync(first);
        await _client.SayAsync(Initialized);
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
        var second = await _upstream.NextAsync();
        (await AnswerAsync(second)).ShouldContain("initialize");
        (await second.NextJsonAsync()).ShouldBe(Initialized);
        (await AnswerAsync(second)).ShouldContain("\"a\"");
        await asking;
    }

    [Fact]
    public async Task A_server_that_dies_before_it_answers_initialize_fails_that_and_can_be_tried_again()
    {
        _ = Run();
        await _client.SayAsync(Initialize);
        var first = await _upstream.NextAsync();
        await first.NextJsonAsync();
        await DieAsync(first);
        (await _client.NextJsonAsync()).ShouldContain("\"id\":1,\"error\":{\"code\":-32000");
        var asking = _client.SayAsync(Initialize);
        var second = await _upstream.NextAsync();
        (await AnswerAsync(second)).ShouldBe(Initialize, "the client's own initialize is no replay");
        await asking;
        (await _client.NextJsonAsync()).ShouldContain("\"id\":1,\"result\"");
    }

    [Fact]
    public async Task Questions_of_the_dead_server_are_taken_back_and_the_next_one_may_use_their_ids()
    {
        _ = Run();
        var first = await StartedAsync();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/call"}""");
        await first.NextJsonAsync();
        await first.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"elicitation/create"}""");
        (await _client.NextJsonAsync()).ShouldContain("elicitation");
        first.End(ConnectionEndReason.ChildExited, "it fell over");
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"it fell over"}}""");
        (await _client.NextJsonAsync()).ShouldContain("\"id\":2,\"error\"");
        var second = await RestartedAsync();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"to whom it may concern"}""");
        second.HasNothingMore.ShouldBeTrue("an answer to the dead server is none to the next");
        await second.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"roots/list"}""");
        (await _client.NextJsonAsync()).ShouldContain("roots/list");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"mine"}""");
        (await second.NextJsonAsync()).ShouldContain("mine");
    }

    [Fact]
    public async Task The_next_server_can_ask_while_it_is_introduced()
    {
        _ = Run();
        await DieAsync(await StartedAsync());
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
        var second = await _upstream.NextAsync();
        (await second.NextJsonAsync()).ShouldContain("initialize");
        await second.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"roots/list"}""");
        (await _client.NextJsonAsync()).ShouldContain("roots/list");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}""");
        (await second.NextJsonAsync()).ShouldContain("\"id\":\"q\",\"result\"");
        await second.SayAsync("""{"jsonrpc":"2.0","id":"mcp-proxy/restart/1","result":{}}""");
        (await second.NextJsonAsync()).ShouldBe(Initialized);
        (await AnswerAsync(second)).ShouldContain("\"a\"");
        await asking;
    }

    [Fact]
    public async Task A_server_that_dies_while_it_is_introduced_costs_the_requests_that_waited_for_it()
    {
        _ = Run();
        await DieAsync(await StartedAsync());
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
        var joining = _client.SayAsync("""{"jsonrpc":"2.0","id":3,"method":"b"}""");
        var second = await _upstream.NextAsync();
        await second.NextJsonAsync();
        second.End(ConnectionEndReason.ChildExited, "it fell over again");
        string[] answers = [await _client.NextJsonAsync(), await _client.NextJsonAsync()];
        answers.ShouldAllBe(answer => answer.Contains("it fell over again"));
        await asking;
        await joining;
        second.HasNothingMore.ShouldBeTrue();
        _upstream.Count.ShouldBe(2, "one restart for all who wait");
        await RestartedAsync(wait: TimeSpan.FromSeconds(0.5));
        _client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task A_server_that_refuses_the_introduction_is_ended_and_the_next_request_tries_another()
    {
        _ = Run();
        await DieAsync(await StartedAsync());
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
        var second = await _upstream.NextAsync();
        await second.NextJsonAsync();
        await second.SayAsync("""{"jsonrpc":"2.0","id":"mcp-proxy/restart/1","error":{"code":-32602,"message":"no"}}""");
        (await _client.NextJsonAsync()).ShouldContain("\"id\":2,\"error\":{\"code\":-32000");
        await asking;
        second.IsDisposed.ShouldBeTrue();
        await RestartedAsync(wait: TimeSpan.FromSeconds(0.5));
    }

    [Fact]
    public async Task A_server_that_does_not_answer_the_introduction_is_given_up_after_a_minute()
    {
        _ = Run();
        await DieAsync(await StartedAsync());
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
        var second = await _upstream.NextAsync();
        await second.NextJsonAsync();
        await AdvanceUntilAsync(asking, TimeSpan.FromSeconds(20));
        (await _client.NextJsonAsync()).ShouldContain("did not answer initialize");
        second.IsDisposed.ShouldBeTrue();
    }

    [Fact]
    public async Task A_request_that_is_given_up_while_it_waits_is_never_begun()
    {
        _ = Run();
        await DieAsync(await StartedAsync());
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"delete/everything"}""");
        var second = await _upstream.NextAsync();
        await _client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}""");
        await AnswerAsync(second);
        await asking;
        await _client.SayAsync("""{"jsonrpc":"2.0","id":3,"method":"b"}""");
        (await second.NextJsonAsync()).ShouldBe(Initialized);
        (await second.NextJsonAsync()).ShouldContain("\"b\"");
    }

    [Fact]
    public async Task A_server_that_keeps_dying_is_left_alone_for_a_while()
    {
        _ = Run();
        await DieAsync(await StartedAsync());
        await DieUnheardAsync();
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":3,"method":"a"}""");
        _time.Advance(TimeSpan.FromSeconds(0.4));
        _upstream.Count.ShouldBe(2);
        asking.IsCompleted.ShouldBeFalse();
        await AdvanceUntilAsync(_upstream.NextAsync(), TimeSpan.FromSeconds(0.1));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Closing_during_the_back_off_or_the_introduction_leaves_nothing(bool isIntroducing)
    {
        var session = Run();
        await DieAsync(await StartedAsync());
        FakePeer? latest = null;
        if (isIntroducing)
        {
            _ = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
            latest = await _upstream.NextAsync();
            await latest.NextJsonAsync();
        }
        else
        {
            await DieUnheardAsync();
            _ = _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"a"}""");
        }

        var count = _upstream.Count;
        await _stop.CancelAsync();
        await session.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        (latest?.IsDisposed ?? true).ShouldBeTrue();
        _time.Advance(TimeSpan.FromMinutes(1));
        _upstream.Count.ShouldBe(count);
        _deaths.Count.ShouldBe(isIntroducing ? 1 : 2, "what is ended on purpose has not died");
    }

    private async Task<FakePeer> StartedAsync()
    {
        await _client.SayAsync(Initialize);
        var server = await _upstream.NextAsync();
        await AnswerAsync(server);
        await _client.NextJsonAsync();
        await _client.SayAsync(Initialized);
        await server.NextJsonAsync();
        return server;
    }

    private async Task<FakePeer> RestartedAsync(TimeSpan wait = default)
    {
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":"again","method":"ping"}""");
        var starting = _upstream.NextAsync();
        if (wait > TimeSpan.Zero)
        {
            await AdvanceUntilAsync(starting, wait);
        }

        var server = await starting;
        await AnswerAsync(server);
        (await server.NextJsonAsync()).ShouldBe(Initialized);
        await AnswerAsync(server);
        await asking;
        (await _client.NextJsonAsync()).ShouldContain("\"id\":\"again\",\"result\"");
        return server;
    }

    /// <summary>Has a server started that dies before it has answered anybody.</summary>
    private async Task DieUnheardAsync()
    {
        var asking = _client.SayAsync("""{"jsonrpc":"2.0","id":"unheard","method":"ping"}""");
        await DieAsync(await _upstream.NextAsync());
        await asking;
        (await _client.NextJsonAsync()).ShouldContain("\"error\"");
    }

    /// <summary>Lets a server die, and waits until that is known.</summary>
    private async Task DieAsync(FakePeer server)
    {
        var before = _deaths.Count;
        server.End(ConnectionEndReason.ChildExited, "it fell over", 1);
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (_deaths.Count == before || !server.IsDisposed)
        {
            timeout.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }

    private async Task AdvanceUntilAsync(Task done, TimeSpan step)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!done.IsCompleted)
        {
            timeout.Token.ThrowIfCancellationRequested();
            _time.Advance(step);
            await Task.Yield();
        }

        await done;
    }

    private static async Task<string> AnswerAsync(FakePeer server)
    {
        var request = await server.NextJsonAsync();
        JsonRpcMessage.TryParse(System.Text.Encoding.UTF8.GetBytes(request), out var message, out _).ShouldBeTrue();
        await server.SayAsync($$$"""{"jsonrpc":"2.0","id":{{{System.Text.Encoding.UTF8.GetString(message.Id.Utf8Text.Span)}}},"result":{}}""");
        return request;
    }

    private Task<RelayEnd> Run()
    {
        var upstream = new RestartingUpstream(_upstream, _time);
        upstream.Died += end => _deaths.Add(end.Detail);
        return new RelaySession(_client, upstream.Connect(), null, _time).RunAsync(_stop.Token);
    }
}
