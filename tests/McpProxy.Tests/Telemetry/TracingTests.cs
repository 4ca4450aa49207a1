using System.Diagnostics;
using System.Threading.Channels;
using McpProxy.Relay;
using McpProxy.Telemetry;
using McpProxy.Transports;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Telemetry;

/// <summary>The spans of requests on their way through a relay.</summary>
public sealed class TracingTests : IAsyncDisposable
{
    private readonly ActivityTraceId _trace = ActivityTraceId.CreateRandom();
    private readonly ActivitySpanId _parent = ActivitySpanId.CreateRandom();
    private readonly Channel<Activity> _spans = Channel.CreateUnbounded<Activity>();
    private readonly ActivityListener _listener;
    private readonly FakePeer _client = new();
    private readonly FakePeer _server = new();
    private readonly Task<RelayEnd> _running;

    public TracingTests()
    {
        _listener = new()
        {
            ShouldListenTo = source => source.Name == ProxyTelemetry.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                // Other tests relay too, at the same time.
                if (activity.TraceId == _trace)
                {
                    _spans.Writer.TryWrite(activity);
                }
            },
        };
        ActivitySource.AddActivityListener(_listener);
        _running = new RelaySession(_client, _server).RunAsync(CancellationToken.None);
    }

    [Fact]
    public async Task A_request_is_a_span_with_one_inside_for_its_way_to_the_server()
    {
        await _client.SayAsync(Call("7"));
        (await _server.NextJsonAsync()).ShouldBe(Call("7"));
        await _server.SayAsync("""{"jsonrpc":"2.0","id":7,"result":{}}""");
        await _client.NextJsonAsync();

        var spans = await SpansAsync(2);
        spans.Select(span => span.Kind).ShouldBe([ActivityKind.Client, ActivityKind.Server]);
        spans.ShouldAllBe(span => span.DisplayName == "tools/call add" && span.Status == ActivityStatusCode.Unset);
        spans[1].ParentSpanId.ShouldBe(_parent);
        spans[1].TraceStateString.ShouldBe("v=1");
        spans[0].ParentSpanId.ShouldBe(spans[1].SpanId);
        spans[1].GetTagItem("mcp.method.name").ShouldBe("tools/call");
        spans[1].GetTagItem("gen_ai.tool.name").ShouldBe("add");
        spans[1].GetTagItem("jsonrpc.request.id").ShouldBe("7");
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}""", "-32602")]
    [InlineData("""{"jsonrpc":"2.0","id":7,"result":{"isError":true,"content":[]}}""", "tool_error")]
    public async Task An_error_is_marked(string answer, string type)
    {
        await _client.SayAsync(Call("7"));
        await _server.NextJsonAsync();
        await _server.SayAsync(answer);
        (await SpansAsync(2)).ShouldAllBe(span => span.Status == ActivityStatusCode.Error && (string?)span.GetTagItem("error.type") == type);
    }

    [Fact]
    public async Task A_request_that_is_given_up_ends_its_span()
    {
        await _client.SayAsync(Call("7"));
        await _client.SayAsync("""{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}""");
        (await SpansAsync(2)).ShouldAllBe(span => (string?)span.GetTagItem("error.type") == "cancelled");
    }

    [Fact]
    public async Task A_server_that_dies_ends_the_spans_of_what_it_leaves()
    {
        await _client.SayAsync(Call("7"));
        await _server.NextJsonAsync();
        _server.End(ConnectionEndReason.ChildExited, "died", 1);
        await _client.NextJsonAsync();
        (await SpansAsync(2)).ShouldAllBe(span => span.Status == ActivityStatusCode.Error);
    }

    [Fact]
    public async Task The_message_wins_over_the_http_request_that_carries_it()
    {
        TraceContext.Receive($"00-{ActivityTraceId.CreateRandom()}-{ActivitySpanId.CreateRandom()}-01", null);
        await _client.SayAsync(Call("7"));
        await _server.NextJsonAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":7,"result":{}}""");
        (await SpansAsync(2))[1].ParentSpanId.ShouldBe(_parent);
    }

    [Fact]
    public async Task The_http_request_counts_where_the_message_says_nothing()
    {
        TraceContext.Receive($"00-{_trace}-{_parent}-01", "w=2");
        await _client.SayAsync("""{"jsonrpc":"2.0","id":7,"method":"no/such"}""");
        await _server.NextJsonAsync();
        await _server.SayAsync("""{"jsonrpc":"2.0","id":7,"result":{}}""");
        var server = (await SpansAsync(2))[1];
        server.ParentSpanId.ShouldBe(_parent);
        server.TraceStateString.ShouldBe("w=2");
        server.DisplayName.ShouldBe("other");
        server.GetTagItem("mcp.method.name").ShouldBe("no/such");
    }

    [Theory]
    [InlineData("no trace")]
    [InlineData("00-00000000000000000000000000000000-0000000000000000-01")]
    [InlineData("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01\r\nX: y")]
    public void What_is_no_trace_context_goes_nowhere(string value)
    {
        TraceContext.Receive(value, null);
        TraceContext.Outgoing.ShouldBeNull();
    }

    [Fact]
    public void What_a_client_says_goes_on_as_it_is_while_nobody_traces()
    {
        TraceContext.Receive("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00", "a=b");
        TraceContext.Outgoing.ShouldBe(new("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00", "a=b"));
        TraceContext.Receive(null, null);
        TraceContext.Outgoing.ShouldBeNull();
    }

    public async ValueTask DisposeAsync()
    {
        _client.End(ConnectionEndReason.Closed, "closed");
        await _running;
        _listener.Dispose();
    }

    private string Call(string id) =>
        $$$"""{"jsonrpc":"2.0","id":{{{id}}},"method":"tools/call","params":{"name":"add","_meta":{"traceparent":"00-{{{_trace}}}-{{{_parent}}}-01","tracestate":"v=1"} }}""";

    private async Task<Activity[]> SpansAsync(int count)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var spans = new Activity[count];
        for (var i = 0; i < count; i++)
        {
            spans[i] = await _spans.Reader.ReadAsync(timeout.Token);
        }

        return spans;
    }
}
