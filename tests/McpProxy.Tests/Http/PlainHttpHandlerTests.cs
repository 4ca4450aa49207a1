using System.Net;
using System.Net.Sockets;
using System.Text;
using McpProxy.Transports.Http.Plain;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Http;

/// <summary>The HTTP/1.1 client for servers that are reached without TLS and proxies, over real sockets.</summary>
public sealed class PlainHttpHandlerTests : IDisposable
{
    private const string Hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    private readonly ManualTime _time = new();
    private readonly HttpMessageInvoker _http;
    private readonly CancellationTokenSource _timeout = new(TimeSpan.FromSeconds(30));

    public PlainHttpHandlerTests() => _http = new(new PlainHttpHandler(TimeSpan.FromSeconds(30), _time));

    public void Dispose()
    {
        _http.Dispose();
        _timeout.Dispose();
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false)]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n", false)]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", true)]
    [InlineData("HTTP/1.0 200 OK\r\n\r\nhello", true)]
    [InlineData("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false)]
    public async Task A_body_arrives_whole_however_it_comes(string response, bool closes)
    {
        await using var server = new RawServer(async (peer, number) =>
        {
            for (var request = 0; await peer.TryReadRequestAsync() is not null; request++)
            {
                await (request + number == 0 ? peer.SayAsync(response) : peer.DribbleAsync(response));
                if (closes)
                {
                    return;
                }
            }
        });
        for (var i = 0; i < 3; i++)
        {
            (await TextAsync(server)).ShouldBe("hello");
        }

        server.Connections.ShouldBe(closes ? 3 : 1);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello", false)]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", false)]
    [InlineData("HTTP/1.1 200 OK\r\n\r\n", "hello", true)]
    public async Task A_body_arrives_whole_wherever_it_is_cut(string head, string body, bool closes)
    {
        var whole = head + body;
        await using var server = new RawServer(async (peer, _) =>
        {
            while (await peer.TryReadRequestAsync() is { } request)
            {
                // The second part goes out when the client says that it has seen the first, where that has a head.
                var cut = int.Parse(request.Split("X-Cut: ")[1].Split('\r')[0], System.Globalization.CultureInfo.InvariantCulture);
                await peer.SayAsync(whole[..cut]);
                await Task.Yield();
                await peer.SayAsync(whole[cut..]);
                if (closes)
                {
                    return;
                }
            }
        });
        for (var cut = 1; cut < whole.Length; cut++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, server.Url) { Content = new MessageContent("{}"u8.ToArray()) };
            request.Headers.Add("X-Cut", $"{cut}");
            using var response = await _http.SendAsync(request, _timeout.Token);
            (await response.Content.ReadAsStringAsync(_timeout.Token)).ShouldBe("hello");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(200)]
    [InlineData(16 * 1024)]
    [InlineData(16 * 1024 + 1)]
    [InlineData(3_000_000)]
    public async Task A_request_arrives_as_it_was_meant(int size)
    {
        var received = new TaskCompletionSource<string>();
        await using var server = new RawServer(async (peer, _) =>
        {
            received.TrySetResult(await peer.TryReadRequestAsync() ?? "");
            await peer.SayAsync(Hello);
        });
        var body = new byte[size];
        Array.Fill(body, (byte)'x');
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{server.Url}?a=b%20c#d") { Content = new MessageContent(body) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        request.Headers.TryAddWithoutValidation("X-Two", "1");
        request.Headers.TryAddWithoutValidation("X-Two", "2");
        using var response = await _http.SendAsync(request, _timeout.Token);
        (await received.Task).ShouldBe(
            $"POST /mcp?a=b%20c HTTP/1.1\r\nHost: {server.Url.Authority}\r\nX-Two: 1, 2\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n{new string('x', size)}");
    }

    [Fact]
    public async Task Contents_of_any_kind_and_a_host_of_the_users_are_sent()
    {
        var received = new TaskCompletionSource<string>();
        await using var server = new RawServer(async (peer, _) =>
        {
            received.TrySetResult(await peer.TryReadRequestAsync() ?? "");
            await peer.SayAsync(Hello);
        });
        using var request = new HttpRequestMessage(HttpMethod.Post, server.Url) { Content = new FormUrlEncodedContent([new("a", "b c")]) };
        request.Headers.Host = "other.example";
        using var response = await _http.SendAsync(request, _timeout.Token);
        (await received.Task).ShouldBe("POST /mcp HTTP/1.1\r\nHost: other.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\na=b+c");
    }

    [Theory]
    [InlineData("a\u00e4")]
    [InlineData("a\0b")]
    public async Task A_header_that_cannot_be_sent_is_an_error_before_anything_is_sent(string value)
    {
        await using var server = RawServer.Saying(Hello);
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Url);
        request.Headers.TryAddWithoutValidation("X", value).ShouldBeTrue();
        (await Should.ThrowAsync<HttpRequestException>(() => _http.SendAsync(request, _timeout.Token))).Message.ShouldContain("ASCII");
        (await TextAsync(server)).ShouldBe("hello");
    }

    [Fact]
    public async Task A_connection_that_the_server_has_closed_while_it_was_idle_is_not_used()
    {
        await using var server = new RawServer(async (peer, number) =>
        {
            await peer.TryReadRequestAsync();
            await peer.SayAsync(Hello);
            if (number > 0)
            {
                await peer.TryReadRequestAsync();
            }
        });
        (await TextAsync(server, HttpMethod.Post)).ShouldBe("hello");

        // Whether or not its end has come by now, a request without a body gets its answer; the next one finds a fresh connection.
        (await TextAsync(server, HttpMethod.Get)).ShouldBe("hello");
        server.Connections.ShouldBe(2);
    }

    [Theory]
    [InlineData("GET", true)]
    [InlineData("DELETE", true)]
    [InlineData("POST", false)]
    public async Task A_request_that_crosses_the_end_of_its_connection_is_made_again_where_that_repeats_nothing(string method, bool isRetried)
    {
        await using var server = new RawServer(async (peer, number) =>
        {
            await peer.TryReadRequestAsync();
            await peer.SayAsync(Hello);
            await peer.TryReadRequestAsync();
            if (number > 0)
            {
                await peer.SayAsync(Hello);
            }
        });
        (await TextAsync(server)).ShouldBe("hello");
        if (isRetried)
        {
            (await TextAsync(server, new(method))).ShouldBe("hello");
            server.Connections.ShouldBe(2);
        }
        else
        {
            var e = await Should.ThrowAsync<HttpRequestException>(() => TextAsync(server, new(method)));
            e.HttpRequestError.ShouldBe(HttpRequestError.ResponseEnded);
            server.Connections.ShouldBe(1);
        }
    }

    [Fact]
    public async Task A_fresh_connection_that_closes_without_an_answer_is_an_error()
    {
        await using var server = new RawServer((peer, _) => peer.TryReadRequestAsync());
        (await Should.ThrowAsync<HttpRequestException>(() => TextAsync(server))).HttpRequestError.ShouldBe(HttpRequestError.ResponseEnded);
        server.Connections.ShouldBe(1);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello")]
    public async Task A_body_that_breaks_off_is_an_error(string response)
    {
        await using var server = RawServer.SayingOnce(response);
        (await Should.ThrowAsync<HttpRequestException>(() => TextAsync(server))).InnerException.ShouldBeAssignableTo<IOException>();
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Len")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello")]
    [InlineData("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")]
    [InlineData("hello")]
    public async Task A_head_that_is_none_is_an_error(string response)
    {
        await using var server = RawServer.SayingOnce(response);
        await Should.ThrowAsync<HttpRequestException>(() => TextAsync(server));
    }

    [Fact]
    public async Task A_server_that_refuses_before_it_has_read_all_is_heard()
    {
        await using var server = new RawServer(async (peer, _) =>
        {
            await peer.ReceiveAsync(1000);
            await peer.SayAsync("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge");
            await peer.IsClosedAsync();
        });
        using var request = new HttpRequestMessage(HttpMethod.Post, server.Url) { Content = new MessageContent(new byte[50_000_000]) };
        using (var response = await _http.SendAsync(request, _timeout.Token))
        {
            response.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
            (await response.Content.ReadAsStringAsync(_timeout.Token)).ShouldBe("large");
        }
    }

    [Fact]
    public async Task A_connection_with_more_than_the_answer_on_it_is_not_used_again()
    {
        await using var server = RawServer.Saying(Hello + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!");
        for (var i = 0; i < 3; i++)
        {
            (await TextAsync(server)).ShouldBe("hello");
        }

        server.Connections.ShouldBe(3);
    }

    [Theory]
    [InlineData("HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello", true)]
    [InlineData("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true)]
    [InlineData("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", true)]
    [InlineData("HTTP/1.1 204 No Content\r\n\r\n", true)]
    [InlineData("HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nhello", false)]
    [InlineData("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false)]
    public async Task An_answer_that_nobody_reads_frees_its_connection_where_all_of_it_is_here(string response, bool isReused)
    {
        await using var server = RawServer.Saying(response);
        for (var i = 0; i < 2; i++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, server.Url) { Content = new MessageContent("{}"u8.ToArray()) };
            (await _http.SendAsync(request, _timeout.Token)).Dispose();
        }

        server.Connections.ShouldBe(isReused ? 1 : 2);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Giving_up_closes_the_connection(bool inBody)
    {
        var closed = new TaskCompletionSource<bool>();
        var asked = new TaskCompletionSource();
        await using var server = new RawServer(async (peer, _) =>
        {
            await peer.TryReadRequestAsync();
            if (inBody)
            {
                await peer.SayAsync("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
            }

            asked.TrySetResult();
            closed.TrySetResult(await peer.IsClosedAsync());
        });
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(_timeout.Token);
        var work = TextAsync(server, cancellationToken: cancel.Token);
        await asked.Task;
        await cancel.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => work);
        (await closed.Task.WaitAsync(_timeout.Token)).ShouldBeTrue();
    }

    [Fact]
    public async Task Nobody_listening_is_an_error_before_the_request_was_sent()
    {
        using var unused = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        unused.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var request = new HttpRequestMessage(HttpMethod.Get, $"http://{unused.LocalEndPoint}/");
        var e = await Should.ThrowAsync<HttpRequestException>(() => _http.SendAsync(request, _timeout.Token));
        e.HttpRequestError.ShouldBe(HttpRequestError.ConnectionError);
        e.InnerException.ShouldBeOfType<SocketException>();
    }

    [Fact]
    public async Task A_name_that_does_not_exist_is_an_error_of_its_own()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "http://nothing.invalid/");
        (await Should.ThrowAsync<HttpRequestException>(() => _http.SendAsync(request, _timeout.Token))).HttpRequestError.ShouldBe(HttpRequestError.NameResolutionError);
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("127.0.0.1")]
    public async Task A_server_is_reached_by_name_and_by_address(string host)
    {
        await using var server = RawServer.Saying(Hello);
        using var request = new HttpRequestMessage(HttpMethod.Get, new UriBuilder(server.Url) { Host = host }.Uri);
        using var response = await _http.SendAsync(request, _timeout.Token);
        (await response.Content.ReadAsStringAsync(_timeout.Token)).ShouldBe("hello");
    }

    [Theory]
    [InlineData("", 59, 1)]
    [InlineData("", 60, 2)]
    [InlineData("Keep-Alive: timeout=5\r\n", 3, 1)]
    [InlineData("Keep-Alive: timeout=5\r\n", 4, 2)]
    [InlineData("Keep-Alive: timeout=1\r\n", 0, 2)]
    public async Task An_idle_connection_has_its_time(string header, int seconds, int connections)
    {
        await using var server = RawServer.Saying($"HTTP/1.1 200 OK\r\n{header}Content-Length: 5\r\n\r\nhello");
        (await TextAsync(server)).ShouldBe("hello");
        _time.Advance(TimeSpan.FromSeconds(seconds));
        (await TextAsync(server)).ShouldBe("hello");
        server.Connections.ShouldBe(connections);
    }

    [Theory]
    [InlineData(3, 1)]
    [InlineData(4, 2)]
    public async Task Its_time_begins_when_the_server_has_answered_and_not_when_that_was_read(int seconds, int connections)
    {
        await using var server = RawServer.Saying("HTTP/1.1 401 Unauthorized\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\nhello");
        using var request = new HttpRequestMessage(HttpMethod.Get, server.Url);
        using (await _http.SendAsync(request, _timeout.Token))
        {
            _time.Advance(TimeSpan.FromSeconds(seconds));
        }

        (await TextAsync(server)).ShouldBe("hello");
        server.Connections.ShouldBe(connections);
    }

    [Fact]
    public async Task A_connection_grows_no_older_than_a_quarter_of_an_hour()
    {
        await using var server = RawServer.Saying(Hello);
        for (var second = 0; second < 900; second += 50)
        {
            (await TextAsync(server)).ShouldBe("hello");
            _time.Advance(TimeSpan.FromSeconds(50));
        }

        server.Connections.ShouldBe(1);
        (await TextAsync(server)).ShouldBe("hello");
        server.Connections.ShouldBe(2);
    }

    [Fact]
    public async Task An_idle_connection_is_closed_when_its_time_is_over()
    {
        var closed = new TaskCompletionSource<bool>();
        await using var server = new RawServer(async (peer, _) =>
        {
            await peer.TryReadRequestAsync();
            await peer.SayAsync(Hello);
            closed.TrySetResult(await peer.IsClosedAsync());
        });
        (await TextAsync(server)).ShouldBe("hello");
        _time.Advance(PlainPool.IdleTimeout);
        (await closed.Task.WaitAsync(_timeout.Token)).ShouldBeTrue();
    }

    [Fact]
    public async Task Many_exchanges_at_once_do_not_mix()
    {
        await using var server = new RawServer(async (peer, _) =>
        {
            while (await peer.TryReadRequestAsync() is { } request)
            {
                var body = request[(request.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)..];
                await peer.SayAsync($"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body.Length:x}\r\n{body}\r\n0\r\n\r\n");
            }
        });
        for (var round = 0; round < 5; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
            {
                var body = $"{round}/{i} {new string('x', i * 300)}";
                using var request = new HttpRequestMessage(HttpMethod.Post, server.Url) { Content = new MessageContent(Encoding.ASCII.GetBytes(body)) };
                using var response = await _http.SendAsync(request, _timeout.Token);
                (await response.Content.ReadAsStringAsync(_timeout.Token)).ShouldBe(body);
            }));
        }

        server.Connections.ShouldBeLessThanOrEqualTo(50);
    }

    private async Task<string> TextAsync(RawServer server, HttpMethod? method = null, CancellationToken? cancellationToken = null)
    {
        method ??= HttpMethod.Get;
        using var request = new HttpRequestMessage(method, server.Url) { Content = method == HttpMethod.Post ? new MessageContent("{}"u8.ToArray()) : null };
        using var response = await _http.SendAsync(request, cancellationToken ?? _timeout.Token);
        return await response.Content.ReadAsStringAsync(cancellationToken ?? _timeout.Token);
    }
}
