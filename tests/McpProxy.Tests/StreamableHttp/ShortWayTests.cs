using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Tests.Http;
using McpProxy.Transports;
using McpProxy.Transports.Http;
using McpProxy.Transports.Polling;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.StreamableHttp;

/// <summary>The messages of a session that go to a plain server by the short way, and all that can come of them, on an event loop and without.</summary>
public sealed class ShortWayTests : IAsyncDisposable
{
    private const string Json = "Content-Type: application/json\r\n";
    private const string Events = "Content-Type: text/event-stream\r\n";

    private readonly ManualTime _time = new();
    private readonly Recorder _client = new();
    private readonly ConcurrentQueue<string> _requests = new();
    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
    private readonly TimeSpan _patience = TimeSpan.FromSeconds(20);
    private readonly List<IAsyncDisposable> _made = [];
    private EventLoop? _loop;

    public static TheoryData<bool, string, string> Answers
    {
        get
        {
            var answer = Answer(7);
            var refused = "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32000,\"message\":\"";
            (string Response, string Received)[] cases =
            [
                (Ok(answer, Json), answer),
                (Ok(answer, "content-type:application/json; charset=utf-8\r\nX-Other: a\r\nMcp-Session-Id: s\r\n"), answer),
                (Ok(answer, ""), answer),
                ("HTTP/1.1 100 Continue\r\n\r\n" + Ok(answer, Json), answer),
                ($"HTTP/1.1 200 OK\r\n{Json}Transfer-Encoding: chunked\r\n\r\n{answer.Length:x}\r\n{answer}\r\n0\r\n\r\n", answer),
                ($"HTTP/1.1 200 OK\r\n{Json}Connection: close\r\nContent-Length: {answer.Length}\r\n\r\n{answer}", answer),
                (Ok($"[{answer}]", Json), answer),
                (Ok($"data: {answer}\n\n", Events), answer),
                (Ok("{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{}}", Json), "{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{}}|" + refused + "the server's answer has no response to the request\"}}"),
                (Ok("nonsense", Json), refused + "the server's answer has no response to the request\"}}"),
                ($"HTTP/1.1 500 Oops\r\n{Json}Content-Length: 4\r\n\r\noops", refused + "the server answered HTTP 500 Oops: oops\"}}"),
                ("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", refused + "the server answered HTTP 202, which no request may be answered with\"}}"),
            ];
            TheoryData<bool, string, string> data = [];
            foreach (var (response, received) in cases)
            {
                data.Add(false, response, received);
                data.Add(true, response, received);
            }

            return data;
        }
    }

    public async ValueTask DisposeAsync()
    {
        for (var i = _made.Count - 1; i >= 0; i--)
        {
            await _made[i].DisposeAsync();
        }

        if (OperatingSystem.IsLinux())
        {
            _loop?.Dispose();
        }

        _stop.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_trace_is_said_of_its_own_message_alone(bool isOnLoop)
    {
        var connection = await StartAsync(isOnLoop, (peer, request) => peer.SayAsync(Ok(Answer(IdOf(request)), Json)));

        (await AskTracedAsync(connection, 2)).ShouldBe(Answer(2));
        (await AskAsync(connection, 3)).ShouldBe(Answer(3));
        (await AskTracedAsync(connection, 4)).ShouldBe(Answer(4));
        (await AskAsync(connection, 5)).ShouldBe(Answer(5));

        _requests.Where(request => request.Contains("\r\ntraceparent: ", StringComparison.OrdinalIgnoreCase)).Select(IdOf).ShouldBe([2, 4]);
    }

    [Theory]
    [MemberData(nameof(Answers))]
    public async Task Every_answer_is_what_it_is_in_the_general_way(bool isOnLoop, string response, string received)
    {
        var connection = await StartAsync(isOnLoop, (peer, request) => peer.SayAsync(request.Contains("\"id\":7", StringComparison.Ordinal) ? response : Ok(Answer(IdOf(request)), Json)));
        (await AskAsync(connection, 6)).ShouldBe(Answer(6));
        await SendAsync(connection, 7);
        foreach (var message in received.Split('|'))
        {
            (await _client.NextAsync()).ShouldBe(message);
        }

        // And the way is free for what comes next.
        (await AskAsync(connection, 9)).ShouldBe(Answer(9));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task It_says_what_the_general_way_says(bool isOnLoop)
    {
        var connection = await StartAsync(isOnLoop, (peer, request) => peer.SayAsync(Ok(Answer(IdOf(request)), Json)));
        for (var id = 2; id < 5; id++)
        {
            (await AskAsync(connection, id)).ShouldBe(Answer(id));
        }

        var requests = _requests.ToArray()[1..];
        requests.ShouldAllBe(request => request.Contains("\r\nMcp-Session-Id: s1\r\nMCP-Protocol-Version: 2025-06-18\r\nX-User: u\r\nContent-Type: application/json\r\nContent-Length: ", StringComparison.Ordinal));
        requests.Select(request => request.Replace($"\"id\":{IdOf(request)}", "", StringComparison.Ordinal)).Distinct().Count().ShouldBe(1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_cookie_that_is_set_on_the_way_goes_along_from_then_on(bool isOnLoop)
    {
        var connection = await StartAsync(isOnLoop, (peer, request) => peer.SayAsync(Ok(Answer(IdOf(request)), IdOf(request) == 3 ? Json + "Set-Cookie: a=b\r\n" : Json)));
        for (var id = 2; id < 6; id++)
        {
            (await AskAsync(connection, id)).ShouldBe(Answer(id));
        }

        _requests.Count(request => request.Contains("\r\nCookie: a=b\r\n", StringComparison.Ordinal)).ShouldBe(2);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_redirect_is_followed_and_a_lost_session_opened_again(bool isOnLoop)
    {
        var lost = false;
        var connection = await StartAsync(isOnLoop, (peer, request) =>
        {
            if (request.StartsWith("POST /mcp ", StringComparison.Ordinal) && request.Contains("\"id\":3", StringComparison.Ordinal))
            {
                return peer.SayAsync("HTTP/1.1 307 Temporary Redirect\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
            }

            if (request.Contains("\"id\":4", StringComparison.Ordinal) && !lost)
            {
                lost = true;
                return peer.SayAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            }

            return peer.SayAsync(Ok(Answer(IdOf(request)), Json));
        });
        for (var id = 2; id < 6; id++)
        {
            (await AskAsync(connection, id)).ShouldBe(Answer(id));
        }

        _requests.Count(request => request.StartsWith("POST /other ", StringComparison.Ordinal)).ShouldBe(1);
        _requests.Count(request => request.Contains("\"initialize\"", StringComparison.Ordinal)).ShouldBe(2);
        _requests.Last().ShouldContain("Mcp-Session-Id: s2");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_server_that_does_not_begin_to_answer_is_given_up(bool isOnLoop)
    {
        var asked = new TaskCompletionSource();
        var connection = await StartAsync(isOnLoop, async (peer, request) =>
        {
            if (IdOf(request) is 3 or 5)
            {
                asked.TrySetResult();
                await peer.IsClosedAsync();
                return;
            }

            await peer.SayAsync(Ok(Answer(IdOf(request)), Json));
        });
        (await AskAsync(connection, 2)).ShouldBe(Answer(2));
        foreach (var id in (int[])[3, 5])
        {
            asked = new();
            await SendAsync(connection, id);
            await asked.Task.WaitAsync(_patience, _stop.Token);

            // Not by what is left of the clock of an earlier one.
            _time.Advance(TimeSpan.FromSeconds(59));
            _client.Count.ShouldBe(0);
            _time.Advance(TimeSpan.FromSeconds(2));
            (await _client.NextAsync()).ShouldContain("did not begin to answer within 60 s");
            (await AskAsync(connection, id + 1)).ShouldBe(Answer(id + 1));
            (await AskAsync(connection, id + 10)).ShouldBe(Answer(id + 10));
            _time.Advance(TimeSpan.FromSeconds(30));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_connection_that_breaks_costs_the_message_on_it(bool isOnLoop)
    {
        var connection = await StartAsync(isOnLoop, async (peer, request) =>
        {
            if (IdOf(request) == 3)
            {
                peer.Reset();
                return;
            }

            await peer.SayAsync(Ok(Answer(IdOf(request)), Json));
        });
        (await AskAsync(connection, 2)).ShouldBe(Answer(2));
        (await AskAsync(connection, 3)).ShouldBe("{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32000,\"message\":\"cannot reach http://" + _authority + ": Connection reset by peer\"}}");
        (await AskAsync(connection, 4)).ShouldBe(Answer(4));
    }

    /// <summary>The end of an idle connection is there, and the loop, busy with the answer before, has not seen it.</summary>
    [Theory]
    [InlineData(0, false)]
    [InlineData(0, true)]
    [InlineData(1, false)]
    public async Task A_request_that_crosses_the_end_of_an_idle_connection_is_not_lost(int idleMilliseconds, bool goesTheGeneralWay)
    {
        using var answered = new SemaphoreSlim(0);
        using var closed = new ManualResetEventSlim();
        var connection = await StartAsync(isOnLoop: true, async (peer, request) =>
        {
            await peer.SayAsync(Ok(Answer(IdOf(request)), Json));
            if (IdOf(request) == 2)
            {
                await answered.WaitAsync(_stop.Token);
                peer.Close();
                closed.Set();
            }
        });
        Task? sending = null;
        _client.BeforeNext(() =>
        {
            answered.Release();
            closed.Wait(_stop.Token);
            _time.Advance(TimeSpan.FromMilliseconds(idleMilliseconds));
            if (goesTheGeneralWay)
            {
                BeTraced();
            }

            sending = SendAsync(connection, 3);
        });
        (await AskAsync(connection, 2)).ShouldBe(Answer(2));
        await sending!;
        (await _client.NextAsync()).ShouldBe(Answer(3));
        _requests.Count(request => IdOf(request) == 3).ShouldBe(1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Many_at_once_and_long_ones_each_get_their_own(bool isOnLoop)
    {
        var text = new string('x', 100_000);
        var connection = await StartAsync(isOnLoop, (peer, request) =>
            peer.SayAsync(Ok(IdOf(request) % 10 == 0 ? $"{{\"jsonrpc\":\"2.0\",\"id\":{IdOf(request)},\"result\":{{\"text\":\"{text}\"}}}}" : Answer(IdOf(request)), Json)));
        for (var round = 0; round < 3; round++)
        {
            for (var id = 100; id < 150; id++)
            {
                await SendAsync(connection, id, id % 15 == 0 ? text : "");
            }

            var answers = new List<string>();
            while (answers.Count < 50)
            {
                answers.Add(await _client.NextAsync());
            }

            answers.Select(IdOf).Order().ShouldBe(Enumerable.Range(100, 50));
            answers.ShouldAllBe(answer => answer.Length > 100_000 == (IdOf(answer) % 10 == 0));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_answer_that_begins_like_the_last_is_read_for_what_it_is(bool isOnLoop)
    {
        (string[] Parts, string Received)[] answers =
        [
            ([Ok(Answer(2), Json)], Answer(2)),
            ([Ok(Answer(3), Json)], Answer(3)),
            ([Ok(Answer(4), Json)[..20], Ok(Answer(4), Json)[20..]], Answer(4)),
            ([Ok(Answer(5), Json)[..^5], Ok(Answer(5), Json)[^5..]], Answer(5)),
            ([Ok(Answer(6), Json)[..^Answer(6).Length], Answer(6)], Answer(6)),
            ([Ok(Answer(7), Json)], Answer(7)),
            ([Ok(Answer(8) + " ", Json)], Answer(8)),
            ([Ok(Answer(9), Json).Replace("\r\n\r\n", "\r\nX-More: 1\r\n\r\n", StringComparison.Ordinal)], Answer(9)),
            ([Ok("not JSON-RPC".PadRight(Answer(10).Length), Json)], "{\"jsonrpc\":\"2.0\",\"id\":10,\"error\":{\"code\":-32000,\"message\":\"the server's answer has no response to the request\"}}"),
            ([Ok(Answer(11), Json)], Answer(11)),
            ([Ok("oops", Json).Replace("200 OK", "500 OK", StringComparison.Ordinal)], "{\"jsonrpc\":\"2.0\",\"id\":12,\"error\":{\"code\":-32000,\"message\":\"the server answered HTTP 500 OK: oops\"}}"),
            ([Ok(Answer(13), Json)], Answer(13)),
        ];
        var connection = await StartAsync(isOnLoop, async (peer, request) =>
        {
            foreach (var part in answers[IdOf(request) - 2].Parts)
            {
                await peer.SayAsync(part);
            }
        });
        foreach (var (id, answer) in answers.Index())
        {
            JsonNode.DeepEquals(JsonNode.Parse(await AskAsync(connection, id + 2)), JsonNode.Parse(answer.Received)).ShouldBeTrue($"answer {id + 2}");
        }
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public async Task An_answer_that_is_not_taken_at_once_is_taken_once(bool isOnLoop, bool fails)
    {
        var connection = await StartAsync(isOnLoop, (peer, request) => peer.SayAsync(Ok(Answer(IdOf(request)), Json)));
        (await AskAsync(connection, 2)).ShouldBe(Answer(2));
        var gate = _client.Hold();
        await SendAsync(connection, 3);
        await _client.HeldAsync().WaitAsync(_patience, _stop.Token);
        _client.Count.ShouldBe(0);
        if (fails)
        {
            gate.SetException(new InvalidOperationException("a defect"));
            (await _client.NextAsync()).ShouldContain("the proxy failed to pass the message on");
        }
        else
        {
            gate.SetResult();
            (await _client.NextAsync()).ShouldBe(Answer(3));
        }

        (await AskAsync(connection, 4)).ShouldBe(Answer(4));
        _client.Count.ShouldBe(0);
    }

    private static string Answer(int id) => $"{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}";

    private static string Ok(string body, string headers) => $"HTTP/1.1 200 OK\r\n{headers}Content-Length: {body.Length}\r\n\r\n{body}";

    private static int IdOf(string message) => message.Split("\"id\":") is [_, var rest, ..] ? int.Parse(rest.Split(',')[0], System.Globalization.CultureInfo.InvariantCulture) : 0;

    private string _authority = "";

    /// <summary>Connects to a server that keeps sessions, and introduces a client.</summary>
    private async Task<IConnection> StartAsync(bool isOnLoop, Func<RawServer.RawPeer, string, Task> answer)
    {
        Assert.SkipWhen(isOnLoop && !OperatingSystem.IsLinux(), "epoll is Linux's");
        var sessions = 0;
        var server = new RawServer(async (peer, _) =>
        {
            while (await peer.TryReadRequestAsync() is { } request)
            {
                _requests.Enqueue(request);
                await (request.Contains("\"initialize\"", StringComparison.Ordinal)
                    ? peer.SayAsync(Ok("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-06-18\"}}", $"{Json}Mcp-Session-Id: s{++sessions}\r\n"))
                    : request.StartsWith("DELETE", StringComparison.Ordinal) ? peer.SayAsync("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") : answer(peer, request));
            }
        });
        _made.Add(server);
        _authority = server.Url.Authority;
        var upstream = new HttpUpstream(new() { Url = server.Url, Headers = [new("X-User", "u")], HeadersTimeout = TimeSpan.FromSeconds(60) }, _time, null, OperatingSystem.IsLinux() && isOnLoop ? _loop = new("test loop") : null);
        _made.Add(upstream);
        var connection = upstream.Connect();
        _made.Add(connection);
        _ = connection.RunAsync(_client, _stop.Token);
        await SendAsync(connection, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\"}}");
        (await _client.NextAsync()).ShouldContain("protocolVersion");
        return connection;
    }

    private async Task<string> AskTracedAsync(IConnection connection, int id)
    {
        BeTraced();
        return await AskAsync(connection, id);
    }

    private static void BeTraced() => TraceContext.Receive("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", null);

    private async Task<string> AskAsync(IConnection connection, int id)
    {
        await SendAsync(connection, id);
        return await _client.NextAsync();
    }

    private Task SendAsync(IConnection connection, int id, string text = "") =>
        SendAsync(connection, $"{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{text}\"}}}}");

    private async Task SendAsync(IConnection connection, string text)
    {
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(text), out var message, out _).ShouldBeTrue();
        (await connection.SendAsync(message, default, _stop.Token)).ShouldBeTrue();
    }

    private sealed class Recorder : IMessageReceiver
    {
        private readonly Channel<string> _messages = Channel.CreateUnbounded<string>();
        private readonly TaskCompletionSource _held = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource? _gate;
        private Action? _beforeNext;

        public int Count => _messages.Reader.Count;

        public async Task<string> NextAsync() => await _messages.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromSeconds(20));

        /// <summary>Has the next message wait.</summary>
        public TaskCompletionSource Hold() => _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Completes when it waits.</summary>
        public Task HeldAsync() => _held.Task;

        /// <summary>Has something done by whoever brings the next message, before it is here.</summary>
        public void BeforeNext(Action work) => _beforeNext = work;

        public async ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            Interlocked.Exchange(ref _beforeNext, null)?.Invoke();
            if (Interlocked.Exchange(ref _gate, null) is { } gate)
            {
                _held.SetResult();
                await gate.Task;
            }

            await _messages.Writer.WriteAsync(Encoding.UTF8.GetString(message.Utf8.Span), cancellationToken);
        }

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => _messages.Writer.WriteAsync($"fault: {fault.Message}", cancellationToken);

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => _messages.Writer.WriteAsync($"abandoned: {reason}", cancellationToken);
    }
}
