using McpProxy.Relay;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Relay.Timeouts;

/// <summary>A server that does not answer (<c>--request-timeout</c>).</summary>
public sealed class RequestTimeoutTests
{
    private readonly FakePeer _client = new() { HasRequestStreams = true };
    private readonly FakePeer _server = new();
    private readonly ManualTime _time = new();

    [Fact]
    public async Task Silence_is_answered_and_the_server_told_to_stop()
    {
        await CallAsync();
        Pass(9);
        _client.HasNothingMore.ShouldBeTrue();
        Pass(2);
        (await _client.NextJsonAsync()).ShouldContain("\"id\":1,\"error\":{\"code\":-32001");
        (await _server.NextJsonAsync()).ShouldContain("\"notifications/cancelled\",\"params\":{\"requestId\":1");
        await _server.SayAsync("""{"jsonrpc":"2.0","id":1,"result":"late"}""");
        Pass(100);
        _client.HasNothingMore.ShouldBeTrue();
        _server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task A_server_that_does_not_even_read_keeps_no_client_waiting()
    {
        await CallAsync();
        _server.Readable = new TaskCompletionSource().Task;
        Pass(11);
        (await _client.NextJsonAsync()).ShouldContain("-32001");
    }

    [Fact]
    public async Task A_client_that_does_not_read_keeps_no_server_working()
    {
        await CallAsync();
        _client.Readable = new TaskCompletionSource().Task;
        Pass(11);
        (await _server.NextJsonAsync()).ShouldContain("notifications/cancelled");
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}""")]
    [InlineData("""{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}""")]
    public async Task A_sign_of_life_begins_the_wait_anew_up_to_the_maximum(string sign)
    {
        await CallAsync();
        for (var i = 0; i < 3; i++)
        {
            Pass(9);
            await _server.SayAsync(sign);
            (await _client.NextJsonAsync()).ShouldBe(sign);
        }

        Pass(2);
        _client.HasNothingMore.ShouldBeTrue();
        Pass(2);
        (await _client.NextJsonAsync()).ShouldContain("-32001", customMessage: "30 s are the maximum");
    }

    [Fact]
    public async Task The_maximum_is_ten_times_the_limit_unless_told()
    {
        Run(new() { RequestTimeout = TimeSpan.FromSeconds(10) });
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}""");
        for (var i = 0; i < 12; i++)
        {
            Pass(8);
            await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}""");
            (await _client.NextJsonAsync()).ShouldContain("progress");
        }

        Pass(5);
        (await _client.NextJsonAsync()).ShouldContain("-32001");
    }

    [Fact]
    public async Task While_the_client_owes_an_answer_the_server_is_not_to_blame()
    {
        await CallAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}""");
        await _client.NextJsonAsync();
        Pass(25);
        _client.HasNothingMore.ShouldBeTrue();
        await _client.SayAsync("""{"jsonrpc":"2.0","id":"q","result":{}}""");
        await _server.NextJsonAsync();
        Pass(2);
        _client.HasNothingMore.ShouldBeTrue("the wait begins with the answer");
    }

    [Fact]
    public async Task A_question_that_the_server_takes_back_begins_the_wait_anew()
    {
        await CallAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}""");
        await _client.NextJsonAsync();
        Pass(20);
        await _server.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}""");
        await _client.NextJsonAsync();
        Pass(5);
        _client.HasNothingMore.ShouldBeTrue();
        Pass(6);
        (await _client.NextJsonAsync()).ShouldContain("-32001");
    }

    [Fact]
    public async Task The_maximum_holds_for_questions_too()
    {
        await CallAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":"q","method":"elicitation/create"}""");
        await _client.NextJsonAsync();
        Pass(31);
        (await _client.NextJsonAsync()).ShouldContain("-32001");
    }

    [Fact]
    public async Task An_initialize_that_is_not_answered_is_not_cancelled()
    {
        Run(Limits());
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"initialize"}""");
        await _server.NextJsonAsync();
        Pass(11);
        (await _client.NextJsonAsync()).ShouldContain("-32001");
        _server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task A_subscription_may_listen_for_ever()
    {
        Run(Limits());
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}""");
        await _server.NextJsonAsync();
        Pass(1000);
        _client.HasNothingMore.ShouldBeTrue();
        _server.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Without_a_limit_nothing_ever_times_out()
    {
        Run(new());
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call"}""");
        Pass(1_000_000);
        _client.HasNothingMore.ShouldBeTrue();
    }

    [Fact]
    public async Task Only_the_late_one_of_two_times_out()
    {
        await CallAsync();
        Pass(6);
        await _client.SayAsync("""{"jsonrpc":"2.0","id":2,"method":"tools/list"}""");
        await _server.NextJsonAsync();
        Pass(6);
        (await _client.NextJsonAsync()).ShouldContain("\"id\":1,\"error\"");
        await _server.NextJsonAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":2,"result":"in time"}""");
        (await _client.NextJsonAsync()).ShouldContain("in time");
    }

    private static RelayOptions Limits() => new() { RequestTimeout = TimeSpan.FromSeconds(10), MaxRequestTime = TimeSpan.FromSeconds(30) };

    private async Task CallAsync()
    {
        Run(Limits());
        await _client.SayAsync("""{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":"t"}}}""");
        await _server.NextJsonAsync();
    }

    private void Pass(double seconds) => _time.Advance(TimeSpan.FromSeconds(seconds));

    private void Run(RelayOptions options) => _ = new RelaySession(_client, _server, options, _time).RunAsync(TestContext.Current.CancellationToken);
}
