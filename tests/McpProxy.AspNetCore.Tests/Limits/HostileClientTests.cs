using System.Net;
using System.Net.Sockets;
using System.Text;
using McpProxy.AspNetCore.Limits;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Limits;

/// <summary>Clients that do not keep to the rules: the server answers the next one who does.</summary>
public sealed class HostileClientTests
{
    private const string Head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\n";

    /// <summary>The server's clock ticks once a second; nothing shorter is noticed.</summary>
    private static readonly ConnectionLimits s_impatient = new()
    {
        HeaderTimeout = TimeSpan.FromSeconds(1.2),
        BodyTimeout = TimeSpan.FromSeconds(1.2),
        KeepAliveTimeout = TimeSpan.FromSeconds(1.2),
        MaxConnections = 50,
    };

    private readonly FakeUpstream _upstream = new(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });

    [Theory]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-", "408")]
    [InlineData("PO", "408")]
    [InlineData(Head + "Content-Length: 100\r\n\r\n{\"jsonrpc\":", "408")]
    [InlineData(Head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"jso", "408")]
    [InlineData("", "")]
    public async Task Who_dawdles_is_let_go(string written, string status)
    {
        await using var server = await StartAsync();
        using var slow = new RawConnection(server.Url);
        await slow.WriteAsync(written);
        var answer = await slow.ReadToEndAsync();
        answer.ShouldStartWith(status.Length == 0 ? "" : $"HTTP/1.1 {status}");
        if (written.Contains("Content-Type", StringComparison.Ordinal))
        {
            answer.ShouldContain("--client-body-timeout");
            answer.ShouldContain("\"jsonrpc\":\"2.0\"");
        }

        await AnswersAsync(server);
    }

    [Fact]
    public async Task Who_has_been_answered_and_asks_no_more_is_let_go()
    {
        await using var server = await StartAsync();
        using var idle = new RawConnection(server.Url);
        await idle.WriteAsync("GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n");
        (await idle.ReadToEndAsync()).ShouldStartWith("HTTP/1.1 40");
    }

    [Fact]
    public async Task Too_many_headers_are_431()
    {
        await using var server = await StartAsync();
        using var connection = new RawConnection(server.Url);
        await connection.WriteAsync($"GET /mcp HTTP/1.1\r\nHost: localhost\r\n{string.Concat(Enumerable.Range(0, 150).Select(i => $"X-{i}: 1\r\n"))}\r\n");
        (await connection.ReadToEndAsync()).ShouldStartWith("HTTP/1.1 431");
        await AnswersAsync(server);
    }

    [Fact]
    public async Task Headers_that_are_too_long_are_431()
    {
        await using var server = await StartAsync();
        using var connection = new RawConnection(server.Url);
        await connection.WriteAsync($"GET /mcp HTTP/1.1\r\nHost: localhost\r\nX: {new string('x', 33_000)}\r\n\r\n");
        (await connection.ReadToEndAsync()).ShouldStartWith("HTTP/1.1 431");
        await AnswersAsync(server);
    }

    [Theory]
    [InlineData("/mcp")]
    [InlineData("/messages")]
    public async Task A_chunked_body_that_never_ends_is_413(string path)
    {
        await using var server = await TestServer.StartAsync(_upstream, new() { MaxMessageSize = 10_000 }, connections: s_impatient);
        await using var events = (await server.Client.GetEventsAsync("/sse")).EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
        path = path == "/mcp" ? path : (await events.NextAsync()).Data;
        using var connection = new RawConnection(server.Url);
        await connection.WriteAsync(Head.Replace("/mcp", path, StringComparison.Ordinal) + "Transfer-Encoding: chunked\r\n\r\n");
        var chunk = $"1000\r\n{new string('[', 0x1000)}\r\n";
        for (var i = 0; i < 4; i++)
        {
            await connection.WriteAsync(chunk);
        }

        var answer = await connection.ReadToEndAsync();
        answer.ShouldStartWith("HTTP/1.1 413");
        answer.ShouldContain("--max-message-size");
        await AnswersAsync(server);
    }

    [Fact]
    public async Task Too_many_connections_are_closed_and_room_is_made_again()
    {
        await using var server = await TestServer.StartAsync(_upstream, connections: s_impatient with { MaxConnections = 2, KeepAliveTimeout = TimeSpan.FromSeconds(60) });
        using (var first = new RawConnection(server.Url))
        using (var second = new RawConnection(server.Url))
        {
            foreach (var connection in (RawConnection[])[first, second])
            {
                // Connections are counted as they are taken up, which need not be the order that they were made in.
                await connection.WriteAsync("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
                (await connection.ReadSomeAsync()).ShouldStartWith("HTTP/1.1 404");
            }

            using var third = new RawConnection(server.Url);
            (await third.ReadToEndAsync()).ShouldBeEmpty();
            await first.WriteAsync("GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            (await first.ReadToEndAsync()).ShouldStartWith("HTTP/1.1 404");
        }

        await UntilAsync(async () =>
        {
            try
            {
                return (await server.Client.PostAsync("/mcp", Http.Initialize)).IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        });
    }

    [Fact]
    public async Task Half_a_request_and_a_closed_connection_leave_nothing_behind()
    {
        await using var server = await StartAsync();
        for (var length = 1; length < Head.Length + 60; length += 17)
        {
            using var connection = new RawConnection(server.Url);
            var whole = Head + "Content-Length: 60\r\n\r\n" + Http.Initialize;
            await connection.WriteAsync(whole[..length]);
            connection.EndWriting();
            await connection.ReadToEndAsync();
        }

        server.SessionCount.ShouldBe(0);
        await AnswersAsync(server);
    }

    [Fact]
    public async Task Sixty_four_mebibytes_of_brackets_are_refused()
    {
        await using var server = await TestServer.StartAsync(_upstream, connections: new());
        using var content = new ByteArrayContent(Enumerable.Repeat((byte)'[', 64 * 1024 * 1024).ToArray()) { Headers = { { "Content-Type", "application/json" } } };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = content };

        using var response = await server.Client.SendAsync(request, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await response.TextAsync()).ShouldContain("deeper");
        await AnswersAsync(server);
    }

    [Fact]
    public async Task Random_bytes_do_no_harm()
    {
        await using var server = await StartAsync();
        var random = new Random(20260728);
        for (var round = 0; round < 60; round++)
        {
            using var connection = new RawConnection(server.Url);
            var bytes = Mutated(random, Encoding.Latin1.GetBytes($"{Head}Content-Length: {Http.Initialize.Length}\r\nConnection: close\r\n\r\n{Http.Initialize}"));
            try
            {
                await connection.WriteAsync(bytes);
                connection.EndWriting();
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                // The server has seen enough.
            }

            await connection.ReadToEndAsync();
        }

        await AnswersAsync(server);
    }

    [Fact]
    public async Task Random_json_is_answered_every_time()
    {
        await using var server = await StartAsync();
        var random = new Random(17);
        for (var round = 0; round < 300; round++)
        {
            var body = Mutated(random, Encoding.UTF8.GetBytes(round % 2 == 0 ? Http.Initialize : $"[{Http.Initialized},{Http.Initialize}]"));
            using var content = new ByteArrayContent(body) { Headers = { { "Content-Type", "application/json" } } };
            using var request = new HttpRequestMessage(HttpMethod.Post, "/mcp") { Content = content };
            request.Headers.TryAddWithoutValidation("Accept", "application/json, text/event-stream");
            using var abort = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            using var response = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, abort.Token);
            ((int)response.StatusCode).ShouldBeOneOf(200, 202, 400, 404);
            if (response.StatusCode == HttpStatusCode.BadRequest)
            {
                (await response.TextAsync()).ShouldContain("\"error\"");
            }
        }

        await AnswersAsync(server);
    }

    private static byte[] Mutated(Random random, byte[] bytes)
    {
        var changed = bytes.ToList();
        for (var changes = random.Next(1, 8); changes > 0; changes--)
        {
            var at = random.Next(changed.Count);
            switch (random.Next(4))
            {
                case 0:
                    changed[at] = (byte)random.Next(256);
                    break;
                case 1:
                    changed.Insert(at, (byte)"{}[]\",:\\\r\n\0 0"[random.Next(13)]);
                    break;
                case 2:
                    changed.RemoveRange(at, random.Next(changed.Count - at));
                    break;
                default:
                    changed.InsertRange(at, changed.GetRange(at, Math.Min(20, changed.Count - at)));
                    break;
            }

            if (changed.Count == 0)
            {
                changed.Add((byte)'x');
            }
        }

        return [.. changed];
    }

    private static async Task AnswersAsync(TestServer server) =>
        (await server.Client.PostAsync("/mcp", Http.Initialize)).StatusCode.ShouldBe(HttpStatusCode.OK);

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!await condition())
        {
            await Task.Delay(20, timeout.Token);
        }
    }

    private Task<TestServer> StartAsync() => TestServer.StartAsync(_upstream, connections: s_impatient);
}
