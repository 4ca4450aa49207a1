using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Relay;

public sealed class RelaySessionTests
{
    private readonly FakePeer _client = new();
    private readonly FakePeer _server = new();
    private readonly ManualTime _time = new();

    [Fact]
    public async Task Messages_cross_byte_for_byte_in_both_directions()
    {
        _ = Run();
        string[] messages =
        [
            """{"jsonrpc":"2.0", "id" : 0,"method":"unknown/thing","params":{"b":1.50,"a":1,"b":2,"x":"\u0041\/é"},"extra":[null]}""",
            """{"jsonrpc":"2.0","method":"notifications/unknown","params":[]}""",
            """{"jsonrpc":"2.0","id":0,"result":null,"_x":1}""",
        ];
        foreach (var message in messages)
        {
            await _client.SayAsync(message);
            (await _server.NextJsonAsync()).ShouldBe(message);
            await _server.SayAsync(message);
            (await _client.NextJsonAsync()).ShouldBe(message);
        }
    }

    [Fact]
    public async Task Equal_ids_in_opposite_directions_do_not_meet()
    {
        _ = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}""");
        var question = await _client.NextAsync();
        question.Json.ShouldContain("sampling");
        question.Related.ShouldBe(JsonRpcId.FromNumber(1));
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"answer"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"done"}""");
        (await _client.NextJsonAsync()).ShouldContain("done");
        await _server.NextJsonAsync();
        (await _server.NextJsonAsync()).ShouldContain("answer");
    }

    [Fact]
    public async Task Progress_goes_with_the_request_whose_token_it_names()
    {
        _ = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/call"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}""");
        (await _client.NextAsync()).Related.ShouldBe(JsonRpcId.FromNumber(1));
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/message","params":{}}""");
        (await _client.NextAsync()).Related.ShouldBe(JsonRpcId.FromNumber(2));
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""");
        (await _client.NextAsync()).Related.IsNone.ShouldBeTrue();
    }

    [Fact]
    public async Task An_upstream_that_ends_leaves_no_request_unanswered()
    {
        var session = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":"two","method":"b"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":3,"method":"c"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}""");
        _server.End(ConnectionEndReason.ChildExited, "it fell over", 9);
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"it fell over"}}""");
        (await _client.NextJsonAsync()).ShouldContain("\"id\":\"two\"");
        var end = await session;
        end.End.ExitCode.ShouldBe(9);
        _client.HasNothingMore.ShouldBeTrue();
        _client.IsDisposed.ShouldBeTrue();
        _server.IsDisposed.ShouldBeTrue();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":4,"method":"late"}""");
        (await _client.NextJsonAsync()).ShouldContain("the session has ended");
    }

    [Fact]
    public async Task After_the_end_of_input_answers_are_waited_for()
    {
        var session = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"roots/list"}""");
        await _client.NextJsonAsync();
        _client.End(ConnectionEndReason.PeerClosed, "end of input");
        await _server.NextJsonAsync();
        await _server.NextJsonAsync();
        (await _server.NextJsonAsync()).ShouldContain("\"id\":\"q\",\"error\"");
        session.IsCompleted.ShouldBeFalse();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        (await session).ByUpstream.ShouldBeFalse();
        (await _client.NextJsonAsync()).ShouldBe("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        (await _client.NextJsonAsync()).ShouldContain("\"resultType\":\"complete\"");
    }

    [Fact]
    public async Task The_end_of_input_does_not_overtake_an_answer_that_is_being_written()
    {
        var session = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        var readable = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _client.Readable = readable.Task;
        var answering = _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        _client.End(ConnectionEndReason.PeerClosed, "end of input");
        for (var i = 0; i < 100; i++)
        {
            await Task.Yield();
            _client.IsDisposed.ShouldBeFalse();
        }

        readable.SetResult();
        await answering;
        await session;
        (await _client.NextJsonAsync()).ShouldContain("\"result\"");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task After_the_end_of_input_answers_have_as_long_to_be_written_as_to_come(bool isTooSlow)
    {
        var session = Run();
        var flushed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _client.Flushed = flushed.Task;
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _server.NextJsonAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":{}}""");
        _client.End(ConnectionEndReason.PeerClosed, "end of input");
        for (var i = 0; i < 100; i++)
        {
            await Task.Yield();
            _client.IsDisposed.ShouldBeFalse();
        }

        if (!isTooSlow)
        {
            flushed.SetResult();
        }

        while (!session.IsCompleted)
        {
            _time.Advance(isTooSlow ? TimeSpan.FromSeconds(11) : TimeSpan.Zero);
            await Task.Yield();
        }

        await session;
    }

    [Fact]
    public async Task Waiting_for_answers_after_the_end_of_input_is_bounded()
    {
        var session = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _server.NextJsonAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":5,"method":"roots/list"}""");
        _client.End(ConnectionEndReason.PeerClosed, "end of input");

        // The refusal of the server's question is sent right before the wait begins.
        await _server.NextJsonAsync();
        while (!session.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(11));
            await Task.Yield();
        }

        await _client.NextJsonAsync();
        (await _client.NextJsonAsync()).ShouldContain("\"id\":1,\"error\"");
    }

    [Fact]
    public async Task No_request_is_answered_twice()
    {
        _ = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"first"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"second"}""");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"of use"}}""");
        (await _client.NextJsonAsync()).ShouldContain("first");
        (await _client.NextJsonAsync()).ShouldContain("of use");
    }

    [Fact]
    public async Task Malformed_input_is_answered_and_the_relay_goes_on()
    {
        _ = Run();
        await _client.SayAsync("garbage");
        (await _client.NextJsonAsync()).ShouldContain("-32700");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":4,"method":5}""");
        (await _client.NextJsonAsync()).ShouldContain("\"id\":4,\"error\":{\"code\":-32600");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        (await _server.NextJsonAsync()).ShouldContain("\"a\"");
    }

    [Fact]
    public async Task An_answer_that_cannot_be_passed_on_becomes_an_error()
    {
        _ = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _server.FaultAsync(new(JsonRpcErrorCode.InvalidRequest, "The message is longer than 5 bytes", JsonRpcId.FromNumber(1), IsResponse: true));
        (await _client.NextJsonAsync()).ShouldContain("longer than 5 bytes");
    }

    [Fact]
    public async Task A_second_request_with_an_id_in_flight_is_refused_without_harm_to_the_first()
    {
        _ = Run();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"b"}""");
        (await _client.NextJsonAsync()).ShouldContain("in flight already");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"a"}""");
        (await _client.NextJsonAsync()).ShouldContain("\"result\":\"a\"");
    }

    [Fact]
    public async Task A_question_to_a_client_that_cannot_hear_it_is_answered_at_once()
    {
        _ = Run();
        _client.IsGone = true;
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage"}""");
        (await _server.NextJsonAsync()).ShouldContain("\"id\":\"q\",\"error\"");
    }

    [Fact]
    public async Task Requests_in_flight_are_bounded()
    {
        _ = new RelaySession(_client, _server, new() { MaxRequestsInFlight = 1 }, _time).RunAsync(TestContext.Current.CancellationToken);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"a"}""");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"b"}""");
        (await _client.NextJsonAsync()).ShouldContain("too many requests");
    }

    private Task<RelayEnd> Run() => new RelaySession(_client, _server, null, _time).RunAsync(TestContext.Current.CancellationToken);
}
