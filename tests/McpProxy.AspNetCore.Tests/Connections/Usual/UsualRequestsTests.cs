using System.Buffers;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text;
using McpProxy.AspNetCore.Connections.Usual;
using McpProxy.AspNetCore.Limits;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Connections.Usual;

/// <summary>What the program answers without the server's own HTTP, and what it leaves to it.</summary>
[SupportedOSPlatform("linux")]
public sealed class UsualRequestsTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    public UsualRequestsTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "It needs epoll");

    [Fact]
    public async Task A_usual_post_is_answered_in_front_of_the_server()
    {
        await using var server = await StartAsync(TellAsync);
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post("hello"));

        var answer = await ReadAsync(socket);
        answer.Status.ShouldBe("HTTP/1.1 200 OK");
        answer.Body.ShouldBe("here POST /mcp?a=b 5 hello");
        answer.Headers.ShouldContain(header => header.StartsWith("Date: ", StringComparison.Ordinal));
        answer.Headers.ShouldContain("Content-Type: text/plain");
    }

    [Fact]
    public async Task Requests_without_a_body_are_answered_there_too()
    {
        await using var server = await StartAsync(TellAsync);
        using var socket = await server.ConnectAsync();

        foreach (var method in (string[])["GET", "GET", "DELETE", "POST", "DELETE", "GET", "POST", "GET"])
        {
            var isPost = method == "POST";
            await SendAsync(socket, isPost ? Post("hello") : $"{method} /mcp?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n");

            (await ReadAsync(socket)).Body.ShouldBe(isPost ? "here POST /mcp?a=b 5 hello" : $"here {method} /mcp?a=b  ");
        }
    }

    [Fact]
    public async Task A_stream_lasts_until_its_client_goes_whatever_comes_meanwhile()
    {
        var gone = new TaskCompletionSource();
        await using var server = await StartAsync(async context =>
        {
            if (context.Request.Method == "POST")
            {
                await TellAsync(context);
                return;
            }

            await context.Response.Body.WriteAsync("data: 1\n\n"u8.ToArray());
            await context.Response.Body.FlushAsync();
            try
            {
                await Task.Delay(Timeout.Infinite, context.RequestAborted);
            }
            catch (OperationCanceledException)
            {
                gone.SetResult();
            }
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, "GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n");
        var seen = "";
        while (!seen.EndsWith("data: 1\n\n\r\n", StringComparison.Ordinal))
        {
            var part = new byte[1024];
            var count = await socket.ReceiveAsync(part).WaitAsync(s_timeout);
            count.ShouldBeGreaterThan(0);
            seen += Encoding.ASCII.GetString(part.AsSpan(0, count));
        }

        // It waits for its turn, which never comes.
        await SendAsync(socket, Post("behind"));
        gone.Task.IsCompleted.ShouldBeFalse();
        socket.Shutdown(SocketShutdown.Both);

        await gone.Task.WaitAsync(s_timeout);
    }

    [Fact]
    public async Task Requests_of_one_connection_have_their_own_headers_each()
    {
        await using var server = await StartAsync(context => context.Response.WriteAsync(
            string.Join('|', context.Request.Headers.Select(header => $"{header.Key}={header.Value}"))));
        using var socket = await server.ConnectAsync();
        string[] variants = ["", "X-A: 1\r\n", "X-A: 2\r\n", "X-A: 2\r\nX-B: 3\r\n", "X-B: 3\r\nX-A: 2\r\n", "X-C:   4  \r\n", "", "x-a: 1\r\nX-Z:\r\n"];
        string[] seen = ["", "|X-A=1", "|X-A=2", "|X-A=2|X-B=3", "|X-B=3|X-A=2", "|X-C=4", "", "|x-a=1|X-Z="];

        foreach (var (variant, expected) in variants.Zip(seen))
        {
            await SendAsync(socket, Post("{}", variant));

            (await ReadAsync(socket)).Body.ShouldBe($"Host=localhost|Content-Length=2{expected}");
        }
    }

    [Fact]
    public async Task Responses_that_differ_in_a_header_have_their_own_each()
    {
        await using var server = await StartAsync(async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            var said = await reader.ReadToEndAsync();
            context.Response.Headers["X-Said"] = said;
            context.Response.Headers["X-Other"] = "same";
            context.Response.StatusCode = said.Contains('4', StringComparison.Ordinal) ? 404 : 200;
            await context.Response.WriteAsync(said);
        });
        using var socket = await server.ConnectAsync();

        foreach (var said in (string[])["1111", "2222", "1111", "33333", "3333", "4444", "1444", "2222"])
        {
            await SendAsync(socket, Post(said));

            var answer = await ReadAsync(socket);
            answer.Headers.ShouldContain($"X-Said: {said}");
            answer.Headers.ShouldContain("X-Other: same");
            answer.Status.ShouldBe(said.Contains('4', StringComparison.Ordinal) ? "HTTP/1.1 404 Not Found" : "HTTP/1.1 200 OK");
            answer.Body.ShouldBe(said);
        }
    }

    [Fact]
    public async Task Pipelined_requests_are_answered_in_order()
    {
        await using var server = await StartAsync(async context =>
        {
            await Task.Yield();
            await TellAsync(context);
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, string.Concat(Enumerable.Range(0, 500).Select(n => Post($"number {n}"))));

        for (var n = 0; n < 500; n++)
        {
            (await ReadAsync(socket)).Body.ShouldEndWith($"number {n}");
        }
    }

    [Fact]
    public async Task A_request_may_come_in_two_parts_wherever_it_is_cut()
    {
        await using var server = await StartAsync(TellAsync);
        using var socket = await server.ConnectAsync();
        var request = Post("in parts");

        for (var cut = 1; cut < request.Length; cut++)
        {
            await SendAsync(socket, request[..cut]);
            await SendAsync(socket, request[cut..]);

            (await ReadAsync(socket)).Body.ShouldBe("here POST /mcp?a=b 8 in parts");
        }
    }

    [Theory]
    [InlineData("OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData("PUT /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("get /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData("GETS /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData("GET /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("GET /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")]
    [InlineData("GET /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")]
    [InlineData("GET /mcp HTTP/1.0\r\nHost: localhost\r\n\r\n")]
    [InlineData("GET /mcp HTTP/1.1\r\n\r\n")]
    [InlineData("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData("DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /other HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /%6dcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST http://localhost/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX: 1\r\nX: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX: a\tb\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData("POST /mcp HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: [a]\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: local/host\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX : 1\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX: 1\r\n folded\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nX: a\rb\r\n\r\n{}")]
    [InlineData("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\nX: 1\r\n\r\n{}")]
    public async Task Whatever_is_unusual_is_the_servers(string request)
    {
        await using var other = await TransportServer.StartAsync(onLoops: false, TellAsync);
        using var otherSocket = await other.ConnectAsync();
        await SendAsync(otherSocket, request);
        var expected = await ReadAsync(otherSocket);
        await using var server = await StartAsync(TellAsync);
        using var socket = await server.ConnectAsync();
        await SendAsync(socket, Post("before"));
        (await ReadAsync(socket)).Body.ShouldStartWith("here ");

        await SendAsync(socket, request);

        var answer = await ReadAsync(socket);
        answer.Status.ShouldBe(expected.Status);
        answer.Body.ShouldBe(expected.Body);
        answer.Body.ShouldNotStartWith("here ");
    }

    [Fact]
    public async Task What_comes_behind_an_unusual_request_is_answered_too()
    {
        await using var server = await StartAsync(async context =>
        {
            await Task.Yield();
            await TellAsync(context);
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post("one") + Post("two") + "OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n" + Post("four"));

        (await ReadAsync(socket)).Body.ShouldStartWith("here POST /mcp?a=b 3 one");
        (await ReadAsync(socket)).Body.ShouldStartWith("here POST /mcp?a=b 3 two");
        (await ReadAsync(socket)).Body.ShouldStartWith("there OPTIONS /mcp");
        (await ReadAsync(socket)).Body.ShouldStartWith("there POST /mcp?a=b 4 four");
    }

    [Fact]
    public async Task Part_of_a_request_that_does_not_go_on_is_the_servers_in_the_end()
    {
        await using var server = await StartAsync(TellAsync);
        using var socket = await server.ConnectAsync();
        var request = Post("late");
        await SendAsync(socket, request[..^2]);
        while (server.Unusual == 0)
        {
            await Task.Delay(50);
        }

        await SendAsync(socket, request[^2..]);

        (await ReadAsync(socket)).Body.ShouldBe("there POST /mcp?a=b 4 late");
    }

    [Theory]
    [InlineData(5_000)]
    [InlineData(3_000_000)]
    public async Task A_long_body_is_read_as_it_comes(int length)
    {
        await using var server = await StartAsync(TellAsync);
        using var socket = await server.ConnectAsync();
        var text = string.Concat(Enumerable.Range(0, length / 10).Select(n => $"{n:D10}"));

        for (var i = 0; i < 3; i++)
        {
            var sending = SendAsync(socket, Post(text) + Post("next"));
            var answer = await ReadAsync(socket);
            await sending;

            answer.Body.ShouldBe($"here POST /mcp?a=b {length} {text}");
            (await ReadAsync(socket)).Body.ShouldBe("here POST /mcp?a=b 4 next");
        }
    }

    [Fact]
    public async Task A_body_that_nobody_reads_is_left_out_after_the_answer()
    {
        await using var server = await StartAsync(context => context.Response.WriteAsync("too long"));
        using var socket = await server.ConnectAsync();
        var request = Post(new string('x', 200_000));
        await SendAsync(socket, request[..1000]);

        (await ReadAsync(socket)).Body.ShouldBe("too long");
        await SendAsync(socket, request[1000..]);
        await SendAsync(socket, Post("{}"));

        (await ReadAsync(socket)).Body.ShouldBe("too long");
    }

    [Fact]
    public async Task Who_goes_in_the_middle_of_a_body_is_told_to_its_reader()
    {
        var told = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StartAsync(async context =>
        {
            try
            {
                await TellAsync(context);
            }
            catch (Exception e)
            {
                told.SetResult(e);
                throw;
            }
        });
        using var socket = await server.ConnectAsync();
        await SendAsync(socket, Post(new string('x', 100_000))[..50_000]);

        socket.Shutdown(SocketShutdown.Send);

        (await told.Task.WaitAsync(s_timeout)).ShouldBeOfType<ConnectionResetException>();
    }

    [Fact]
    public async Task A_body_that_comes_too_slowly_is_not_waited_for()
    {
        await using var server = await StartAsync(
            async context =>
            {
                try
                {
                    await TellAsync(context);
                }
                catch (BadHttpRequestException e)
                {
                    context.Response.StatusCode = e.StatusCode;
                    await context.Response.WriteAsync("too slow");
                }
            },
            new() { BodyTimeout = TimeSpan.FromSeconds(1) });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post(new string('x', 100_000))[..300]);

        var answer = await ReadAsync(socket);
        answer.Status.ShouldBe("HTTP/1.1 408 Request Timeout");
        answer.Headers.ShouldContain("Connection: close");
        (await EndsAsync(socket)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_connection_that_nobody_uses_is_closed_in_the_end()
    {
        await using var server = await StartAsync(TellAsync, new() { KeepAliveTimeout = TimeSpan.FromSeconds(1) });
        using var unused = await server.ConnectAsync();
        using var used = await server.ConnectAsync();
        await SendAsync(used, Post("{}"));
        await ReadAsync(used);

        (await EndsAsync(unused)).ShouldBeTrue();
        (await EndsAsync(used)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_client_that_goes_aborts_its_request()
    {
        var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var began = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StartAsync(async context =>
        {
            began.SetResult();
            await using (context.RequestAborted.Register(aborted.SetResult))
            {
                await aborted.Task;
            }
        });
        using var socket = await server.ConnectAsync();
        await SendAsync(socket, Post("{}"));
        await began.Task.WaitAsync(s_timeout);

        socket.Shutdown(SocketShutdown.Send);

        await aborted.Task.WaitAsync(s_timeout);
        (await EndsAsync(socket)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_request_that_is_aborted_here_is_broken_off_for_its_client()
    {
        await using var server = await StartAsync(async context =>
        {
            await context.Response.WriteAsync("begun");
            context.Abort();
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post("{}"));

        (await EndsAsync(socket)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_defect_is_an_answer_and_the_end_of_the_connection()
    {
        await using var server = await StartAsync(_ => throw new InvalidOperationException("a defect"));
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post("{}"));

        var answer = await ReadAsync(socket);
        answer.Status.ShouldBe("HTTP/1.1 500 Internal Server Error");
        answer.Headers.ShouldContain("Connection: close");
        (await EndsAsync(socket)).ShouldBeTrue();
    }

    [Fact]
    public async Task A_response_of_unknown_length_comes_in_chunks()
    {
        await using var server = await StartAsync(async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.BodyWriter.FlushAsync();
            for (var i = 0; i < 3; i++)
            {
                await context.Response.BodyWriter.WriteAsync(Encoding.ASCII.GetBytes(new string((char)('a' + i), 10_000 * i)));
            }
        });
        using var socket = await server.ConnectAsync();

        for (var round = 0; round < 2; round++)
        {
            await SendAsync(socket, Post("{}"));

            var answer = await ReadAsync(socket);
            answer.Headers.ShouldContain("Transfer-Encoding: chunked");
            answer.Body.ShouldBe(new string('b', 10_000) + new string('c', 20_000));
        }
    }

    [Theory]
    [InlineData(204, "HTTP/1.1 204 No Content", false)]
    [InlineData(202, "HTTP/1.1 202 Accepted", true)]
    public async Task A_response_without_a_body_says_so_where_it_may(int status, string line, bool hasLength)
    {
        await using var server = await StartAsync(context =>
        {
            context.Response.StatusCode = status;
            return Task.CompletedTask;
        });
        using var socket = await server.ConnectAsync();

        for (var round = 0; round < 3; round++)
        {
            await SendAsync(socket, Post("{}"));

            var answer = await ReadAsync(socket, hasBody: hasLength);
            answer.Status.ShouldBe(line);
            answer.Headers.Contains("Content-Length: 0").ShouldBe(hasLength);
        }
    }

    [Theory]
    [InlineData(3, false)]
    [InlineData(3, true)]
    [InlineData(8, true)]
    public async Task A_response_that_is_not_as_long_as_it_says_breaks_off(int said, bool flushes)
    {
        await using var server = await StartAsync(async context =>
        {
            context.Response.ContentLength = said;
            context.Response.BodyWriter.Write("12345"u8);
            if (flushes)
            {
                await context.Response.BodyWriter.FlushAsync();
            }
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post("{}"));

        (await EndsAsync(socket)).ShouldBeTrue();
    }

    [Fact]
    public async Task What_was_written_before_a_defect_is_no_part_of_its_answer()
    {
        await using var server = await StartAsync(context =>
        {
            context.Response.BodyWriter.Write("half"u8);
            throw new InvalidOperationException("a defect");
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post("{}"));

        (await ReadAsync(socket)).Body.ShouldBeEmpty();
    }

    [Fact]
    public async Task What_a_request_leaves_in_its_context_does_not_reach_the_next()
    {
        var local = new AsyncLocal<string?>();
        await using var server = await StartAsync(context =>
        {
            var seen = local.Value ?? "nothing";
            local.Value = "of another";
            return LaterAsync(context, seen);
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, string.Concat(Enumerable.Repeat(Post("{}"), 10)));

        for (var i = 0; i < 10; i++)
        {
            (await ReadAsync(socket)).Body.ShouldBe("nothing");
        }

        static async Task LaterAsync(HttpContext context, string seen)
        {
            await Task.Yield();
            await context.Response.WriteAsync(seen);
        }
    }

    [Fact]
    public async Task A_response_whose_headers_change_has_those_of_its_own()
    {
        var n = 0;
        await using var server = await StartAsync(context =>
        {
            n++;
            context.Response.Headers["X-Round"] = n < 4 ? "same" : $"{n}";
            context.Response.Headers["X-List"] = new(["a", "b"]);
            return context.Response.WriteAsync("ok");
        });
        using var socket = await server.ConnectAsync();

        for (var round = 1; round < 6; round++)
        {
            await SendAsync(socket, Post("{}"));

            var answer = await ReadAsync(socket);
            answer.Headers.ShouldContain(round < 4 ? "X-Round: same" : $"X-Round: {round}");
            answer.Headers.ShouldContain("X-List: a");
            answer.Headers.ShouldContain("X-List: b");
        }
    }

    [Fact]
    public async Task A_header_never_begins_another_line()
    {
        await using var server = await StartAsync(context =>
        {
            context.Response.Headers["X-Bad"] = "a\r\nX-Worse: b";
            return context.Response.WriteAsync("ok");
        });
        using var socket = await server.ConnectAsync();

        await SendAsync(socket, Post("{}"));

        var answer = await ReadAsync(socket);
        answer.Status.ShouldStartWith("HTTP/1.1 500");
        answer.Headers.ShouldNotContain(header => header.StartsWith("X-", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Who_writes_to_a_client_that_does_not_read_waits_for_it()
    {
        const int Blocks = 300;
        var written = 0L;
        await using var server = await StartAsync(async context =>
        {
            for (var i = 0; i < Blocks; i++)
            {
                await context.Response.BodyWriter.WriteAsync(new byte[100_000]);
                Interlocked.Increment(ref written);
            }
        });
        using var socket = await server.ConnectAsync(receiveBuffer: 16 * 1024);
        await SendAsync(socket, Post("{}"));
        long seen;
        do
        {
            seen = Interlocked.Read(ref written);
            await Task.Delay(300);
        }
        while (seen == 0 || Interlocked.Read(ref written) != seen);

        seen.ShouldBeLessThan(Blocks);
        (await ReadAsync(socket)).Body.Length.ShouldBe(Blocks * 100_000);
    }

    [Fact]
    public async Task A_stop_lets_a_request_end_and_closes_what_nobody_uses()
    {
        var mayEnd = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var began = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StartAsync(async context =>
        {
            if (context.Request.ContentLength == 4)
            {
                began.SetResult();
                await mayEnd.Task;
            }

            await TellAsync(context);
        });
        using var unused = await server.ConnectAsync();
        await SendAsync(unused, Post("{}"));
        await ReadAsync(unused);
        using var busy = await server.ConnectAsync();
        await SendAsync(busy, Post("wait"));
        await began.Task.WaitAsync(s_timeout);

        var stopping = server.Server.App.StopAsync();
        (await EndsAsync(unused)).ShouldBeTrue();
        mayEnd.SetResult();

        var answer = await ReadAsync(busy);
        answer.Body.ShouldEndWith("wait");
        answer.Headers.ShouldContain("Connection: close");
        (await EndsAsync(busy)).ShouldBeTrue();
        await stopping.WaitAsync(s_timeout);
    }

    [Fact]
    public async Task Many_clients_that_come_and_go_are_answered_each_with_its_own()
    {
        await using var server = await StartAsync(async context =>
        {
            if (context.Request.ContentLength % 2 == 0)
            {
                await Task.Yield();
            }

            await TellAsync(context);
        });
        await Parallel.ForEachAsync(Enumerable.Range(0, 200), async (client, _) =>
        {
            using var socket = await server.ConnectAsync();
            for (var i = 0; i < 20; i++)
            {
                var text = $"{client}/{new string('x', i)}";
                await SendAsync(socket, Post(text, i % 3 == 0 ? $"X-Client: {client}\r\n" : ""));
                if (client % 4 == 1 && i % 7 == 3)
                {
                    // While it is answered.
                    return;
                }

                if (client % 5 == 0 && i == 10)
                {
                    // In the middle of its request.
                    socket.LingerState = new(true, 0);
                    return;
                }

                (await ReadAsync(socket)).Body.ShouldEndWith($" {text.Length} {text}");
            }
        });

        // It waits for every connection there is.
        await server.Server.App.StopAsync().WaitAsync(TimeSpan.FromSeconds(15));
    }

    private static async Task TellAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body, Encoding.ASCII);
        var body = await reader.ReadToEndAsync();
        var text = $"{(context.Features is UsualExchange ? "here" : "there")} {context.Request.Method} {context.Request.Path}{context.Request.QueryString} {context.Request.ContentLength} {body}";
        context.Response.ContentType = "text/plain";
        context.Response.ContentLength = text.Length;
        await context.Response.BodyWriter.WriteAsync(Encoding.ASCII.GetBytes(text));
    }

    private static string Post(string body, string headers = "") =>
        $"POST /mcp?a=b HTTP/1.1\r\nHost: localhost\r\nContent-Length: {body.Length}\r\n{headers}\r\n{body}";

    private static async Task SendAsync(Socket socket, string text)
    {
        for (var rest = (ReadOnlyMemory<byte>)Encoding.Latin1.GetBytes(text); rest.Length > 0;)
        {
            rest = rest[await socket.SendAsync(rest)..];
        }
    }

    /// <summary>Whether nothing more comes, and the connection ends.</summary>
    private static async Task<bool> EndsAsync(Socket socket)
    {
        try
        {
            var buffer = new byte[1000];
            while (await socket.ReceiveAsync(buffer).WaitAsync(s_timeout) > 0)
            {
                // What was sent before the end.
            }

            return true;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            return true;
        }
    }

    private static async Task<Answer> ReadAsync(Socket socket, bool hasBody = true)
    {
        // Byte by byte, so that nothing of the next answer is taken.
        var head = new StringBuilder();
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            head.Append(await ReadAsync(socket, 1));
        }

        var lines = head.ToString().Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var body = new StringBuilder();
        if (lines.Contains("Transfer-Encoding: chunked", StringComparer.OrdinalIgnoreCase))
        {
            for (int size; (size = Convert.ToInt32(await LineAsync(), 16)) > 0;)
            {
                body.Append(await ReadAsync(socket, size));
                await ReadAsync(socket, 2);
            }

            await ReadAsync(socket, 2);
        }
        else if (hasBody)
        {
            body.Append(await ReadAsync(socket, int.Parse(lines.First(line => line.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase))[16..])));
        }

        return new(lines[0], lines[1..], body.ToString());

        async Task<string> LineAsync()
        {
            var line = new StringBuilder();
            while (!line.ToString().EndsWith("\r\n", StringComparison.Ordinal))
            {
                line.Append(await ReadAsync(socket, 1));
            }

            return line.ToString().Trim();
        }
    }

    private static async Task<string> ReadAsync(Socket socket, int count)
    {
        var buffer = new byte[count];
        for (var read = 0; read < count;)
        {
            var got = await socket.ReceiveAsync(buffer.AsMemory(read)).AsTask().WaitAsync(s_timeout);
            got.ShouldBeGreaterThan(0, "the connection ended");
            read += got;
        }

        return Encoding.Latin1.GetString(buffer);
    }

    private static async Task<PostsServer> StartAsync(RequestDelegate handle, ConnectionLimits? limits = null)
    {
        var posts = new UsualRequests(new Dictionary<string, RequestDelegate> { ["/mcp"] = handle }, limits ?? new(), TimeProvider.System, NullLogger.Instance);
        PostsServer? started = null;
        var server = await TransportServer.StartAsync(onLoops: true, handle, listen => listen.Use(next => posts.Before(connection =>
        {
            started!.Unusual++;
            return next(connection);
        })));
        return started = new(server);
    }

    private sealed record Answer(string Status, string[] Headers, string Body);

    private sealed class PostsServer(TransportServer server) : IAsyncDisposable
    {
        public TransportServer Server => server;

        /// <summary>How many connections were left to the server.</summary>
        public int Unusual { get; set; }

        public Task<Socket> ConnectAsync(int? receiveBuffer = null) => server.ConnectAsync(receiveBuffer);

        public ValueTask DisposeAsync() => server.DisposeAsync();
    }
}
