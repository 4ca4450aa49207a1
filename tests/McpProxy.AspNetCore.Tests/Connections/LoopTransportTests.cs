using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using McpProxy.AspNetCore.Connections;
using McpProxy.Tests;
using McpProxy.Transports.Polling;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Connections;

[SupportedOSPlatform("linux")]
public sealed class LoopTransportTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    public LoopTransportTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "It needs epoll");

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Pipelined_requests_are_answered_in_order(bool onLoops)
    {
        await using var server = await TransportServer.StartAsync(onLoops, context => context.Response.WriteAsync($"<{context.Request.Query["n"]}>"));
        using var socket = await server.ConnectAsync();
        var requests = string.Concat(Enumerable.Range(0, 50).Select(n => Get($"/?n={n}")));

        await socket.SendAsync(Encoding.ASCII.GetBytes(requests));

        var text = await ReadUntilAsync(socket, "<49>");
        for (var n = 0; n < 49; n++)
        {
            text.IndexOf($"<{n}>", StringComparison.Ordinal).ShouldBeInRange(0, text.IndexOf($"<{n + 1}>", StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_request_that_comes_byte_by_byte_is_answered(bool onLoops)
    {
        await using var server = await TransportServer.StartAsync(onLoops, context => context.Response.WriteAsync("done."));
        using var socket = await server.ConnectAsync();

        foreach (var one in Encoding.ASCII.GetBytes(Get("/")))
        {
            await socket.SendAsync(new[] { one });
        }

        (await ReadUntilAsync(socket, "done.")).ShouldStartWith("HTTP/1.1 200");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_that_nobody_reads_stays_with_who_sends_it(bool onLoops)
    {
        const int Length = 40 * 1024 * 1024;
        var mayRead = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TransportServer.StartAsync(onLoops, async context =>
        {
            await mayRead.Task;
            var sum = 0L;
            var buffer = new byte[100_000];
            for (int count; (count = await context.Request.Body.ReadAsync(buffer)) > 0;)
            {
                sum += count;
            }

            await context.Response.WriteAsync($"read {sum}.");
        });
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Encoding.ASCII.GetBytes($"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {Length}\r\n\r\n"));

        var sent = 0L;
        var sending = SendAsync(socket, Length, count => Interlocked.Add(ref sent, count));
        await StandsStillAsync(() => Interlocked.Read(ref sent));
        Interlocked.Read(ref sent).ShouldBeLessThan(Length);
        mayRead.SetResult();
        await sending.WaitAsync(s_timeout);

        await ReadUntilAsync(socket, $"read {Length}.");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_writes_to_a_client_that_does_not_read_waits_for_it(bool onLoops)
    {
        const int Blocks = 400;
        var written = 0L;
        await using var server = await TransportServer.StartAsync(onLoops, async context =>
        {
            var block = new byte[100_000];
            for (var i = 0; i < Blocks; i++)
            {
                Array.Fill(block, (byte)('a' + (i % 26)));
                await context.Response.BodyWriter.WriteAsync(block);
                Interlocked.Increment(ref written);
            }
        });
        using var socket = await server.ConnectAsync(receiveBuffer: 16 * 1024);
        await socket.SendAsync(Encoding.ASCII.GetBytes("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"));

        await StandsStillAsync(() => Interlocked.Read(ref written));
        Interlocked.Read(ref written).ShouldBeLessThan(Blocks);

        var counts = new long[26];
        var buffer = new byte[64 * 1024];
        var isBody = false;
        for (int count; (count = await socket.ReceiveAsync(buffer).WaitAsync(s_timeout)) > 0;)
        {
            var text = buffer.AsSpan(0, count);
            if (!isBody)
            {
                text = text[(text.IndexOf("\r\n\r\n"u8) + 4)..];
                isBody = true;
            }

            foreach (var one in text)
            {
                counts[one - 'a']++;
            }
        }

        counts.Sum().ShouldBe(Blocks * 100_000L);
        counts[0].ShouldBe(((Blocks + 25) / 26) * 100_000L);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_goes_aborts_its_request(bool onLoops)
    {
        var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var began = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TransportServer.StartAsync(onLoops, async context =>
        {
            began.SetResult();
            await using (context.RequestAborted.Register(aborted.SetResult))
            {
                await aborted.Task;
            }
        });
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Encoding.ASCII.GetBytes(Get("/")));
        await began.Task.WaitAsync(s_timeout);

        socket.Shutdown(SocketShutdown.Send);

        await aborted.Task.WaitAsync(s_timeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_goes_behind_what_nobody_has_read_yet_aborts_its_request(bool onLoops)
    {
        var aborted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var began = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TransportServer.StartAsync(onLoops, async context =>
        {
            began.TrySetResult();
            await using (context.RequestAborted.Register(() => aborted.TrySetResult()))
            {
                await aborted.Task;
            }
        });
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Encoding.ASCII.GetBytes(Get("/") + Get("/second")));
        await began.Task.WaitAsync(s_timeout);

        socket.Shutdown(SocketShutdown.Send);

        await aborted.Task.WaitAsync(s_timeout);
    }

    [Fact]
    public async Task A_connection_that_is_aborted_for_no_reason_is_closed_once_for_all()
    {
        // Closed a second time it would be another connection, which has the socket's number by then.
        using var loops = new EventLoops();
        var transport = new LoopTransport(loops, new() { Memory = () => new Blocks() }, TimeProvider.System, NullLogger.Instance);
        await using var listener = await transport.BindAsync(new IPEndPoint(IPAddress.Loopback, 0));
        using var client = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(listener.EndPoint);
        await using var connection = (await listener.AcceptAsync())!;

        connection.Abort(null!);

        var reason = await Assert.ThrowsAsync<ConnectionAbortedException>(async () => await connection.Transport.Input.ReadAsync());
        reason.Message.ShouldBe(new ConnectionAbortedException().Message);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_reset_while_something_is_written_ends_the_writing(bool onLoops)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TransportServer.StartAsync(onLoops, async context =>
        {
            var block = new byte[100_000];
            while (!context.RequestAborted.IsCancellationRequested)
            {
                var result = await context.Response.BodyWriter.WriteAsync(block);
                if (result.IsCompleted)
                {
                    break;
                }
            }

            ended.SetResult();
        });
        var socket = await server.ConnectAsync();
        await socket.SendAsync(Encoding.ASCII.GetBytes(Get("/")));
        await ReadUntilAsync(socket, "HTTP/1.1 200");

        socket.LingerState = new(true, 0);
        socket.Close();

        await ended.Task.WaitAsync(s_timeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_request_that_is_aborted_here_is_broken_off_for_its_client(bool onLoops)
    {
        await using var server = await TransportServer.StartAsync(onLoops, async context =>
        {
            await context.Response.WriteAsync("begun");
            await context.Response.Body.FlushAsync();
            context.Abort();
        });
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Encoding.ASCII.GetBytes(Get("/")));

        var text = new StringBuilder();
        var buffer = new byte[4096];
        try
        {
            for (int count; (count = await socket.ReceiveAsync(buffer).WaitAsync(s_timeout)) > 0;)
            {
                text.Append(Encoding.ASCII.GetString(buffer, 0, count));
            }
        }
        catch (SocketException e)
        {
            e.SocketErrorCode.ShouldBe(SocketError.ConnectionReset);
        }

        text.ToString().ShouldNotContain("\r\n0\r\n");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_thousand_clients_at_once_are_answered(bool onLoops)
    {
        await using var server = await TransportServer.StartAsync(onLoops, context => context.Response.WriteAsync($"<{context.Request.Query["n"]}>"));
        var sockets = new List<Socket>();
        try
        {
            for (var i = 0; i < 1000; i++)
            {
                sockets.Add(await server.ConnectAsync());
            }

            for (var round = 0; round < 2; round++)
            {
                await Task.WhenAll(sockets.Select((socket, n) => socket.SendAsync(Encoding.ASCII.GetBytes(Get($"/?n={n}")))));
                await Task.WhenAll(sockets.Select((socket, n) => ReadUntilAsync(socket, $"<{n}>")));
            }
        }
        finally
        {
            sockets.ForEach(socket => socket.Dispose());
        }
    }

    [Fact]
    public async Task Tls_works_on_top_of_it()
    {
        using var authority = new TestAuthority("authority");
        using var certificate = authority.Issue("localhost", TestAuthority.Server);
        await using var server = await TransportServer.StartAsync(
            onLoops: true,
            async context =>
            {
                using var body = new StreamReader(context.Request.Body);
                await context.Response.WriteAsync(await body.ReadToEndAsync() + ".");
            },
            listen => listen.UseHttps(certificate));
        using var socket = await server.ConnectAsync();
        await using var tls = new SslStream(new NetworkStream(socket));
        var trust = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        trust.CustomTrustStore.Add(authority.Certificate);
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = trust });
        var sent = new string('x', 1_000_000);

        var writing = tls.WriteAsync(Encoding.ASCII.GetBytes($"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: {sent.Length}\r\n\r\n{sent}")).AsTask();
        using var reader = new StreamReader(tls);
        var text = await reader.ReadToEndAsync().WaitAsync(s_timeout);
        await writing;

        text.ShouldEndWith(sent + ".");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Both_ends_of_a_connection_have_their_addresses(bool onLoops)
    {
        await using var server = await TransportServer.StartAsync(
            onLoops,
            context => context.Response.WriteAsync($"{context.Connection.RemoteIpAddress} {context.Connection.RemotePort} {context.Connection.LocalIpAddress} {context.Connection.LocalPort}."),
            address: Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any);
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Encoding.ASCII.GetBytes(Get("/")));

        var mapped = Socket.OSSupportsIPv6 ? "::ffff:127.0.0.1" : "127.0.0.1";
        await ReadUntilAsync(socket, $"{mapped} {((IPEndPoint)socket.LocalEndPoint!).Port} {mapped} {server.Port}.");
    }

    [Fact]
    public async Task A_port_in_use_is_told_as_ever()
    {
        await using var first = await TransportServer.StartAsync(onLoops: true, context => Task.CompletedTask);

        var refusal = await Should.ThrowAsync<IOException>(() => TransportServer.StartAsync(onLoops: true, context => Task.CompletedTask, port: first.Port));

        refusal.Message.ShouldContain("address already in use");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stop_closes_idle_connections_and_takes_no_new_ones(bool onLoops)
    {
        await using var server = await TransportServer.StartAsync(onLoops, context => context.Response.WriteAsync("ok."));
        using var used = await server.ConnectAsync();
        await used.SendAsync(Encoding.ASCII.GetBytes(Get("/")));
        await ReadUntilAsync(used, "\r\n0\r\n\r\n");
        using var unused = await server.ConnectAsync();

        await server.App.StopAsync().WaitAsync(s_timeout);

        (await used.ReceiveAsync(new byte[10]).WaitAsync(s_timeout)).ShouldBe(0);
        (await Should.ThrowAsync<SocketException>(() => server.ConnectAsync())).SocketErrorCode.ShouldBe(SocketError.ConnectionRefused);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stop_breaks_off_what_does_not_end(bool onLoops)
    {
        var began = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TransportServer.StartAsync(onLoops, async context =>
        {
            await context.Response.WriteAsync("begun.");
            await context.Response.Body.FlushAsync();
            began.SetResult();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        });
        using var socket = await server.ConnectAsync();
        await socket.SendAsync(Encoding.ASCII.GetBytes(Get("/")));
        await ReadUntilAsync(socket, "begun.");
        await began.Task;

        using var now = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await server.App.StopAsync(now.Token).WaitAsync(s_timeout);

        try
        {
            (await socket.ReceiveAsync(new byte[10]).WaitAsync(s_timeout)).ShouldBe(0);
        }
        catch (SocketException e)
        {
            e.SocketErrorCode.ShouldBe(SocketError.ConnectionReset);
        }
    }

    private static string Get(string path) => $"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n";

    private static async Task<string> ReadUntilAsync(Socket socket, string end)
    {
        var text = new StringBuilder();
        var buffer = new byte[64 * 1024];
        while (!text.ToString().Contains(end, StringComparison.Ordinal))
        {
            var count = await socket.ReceiveAsync(buffer).WaitAsync(s_timeout);
            count.ShouldBeGreaterThan(0, text.ToString());
            text.Append(Encoding.ASCII.GetString(buffer, 0, count));
        }

        return text.ToString();
    }

    private static async Task SendAsync(Socket socket, int length, Action<int> sent)
    {
        var block = new byte[100_000];
        while (length > 0)
        {
            var count = await socket.SendAsync(block.AsMemory(0, Math.Min(block.Length, length)));
            length -= count;
            sent(count);
        }
    }

    /// <summary>Waits until a count has grown and grows no more: there is no event for what does not happen.</summary>
    private static async Task StandsStillAsync(Func<long> count)
    {
        long seen;
        do
        {
            seen = count();
            await Task.Delay(TimeSpan.FromMilliseconds(300));
        }
        while (seen == 0 || count() != seen);
    }
}
