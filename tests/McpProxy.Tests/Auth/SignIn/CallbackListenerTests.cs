using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using McpProxy.Auth.SignIn;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.SignIn;

public sealed class CallbackListenerTests : IAsyncDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly Channel<string> _queries = Channel.CreateUnbounded<string>();
    private readonly RedirectAddress _address;
    private CallbackListener? _listener;

    public CallbackListenerTests()
    {
        CallbackListener? listener;
        do
        {
            // Another test may take the port in between.
            var free = new RedirectAddress("localhost", 0, "/cb");
            _address = free with { Port = CallbackListener.FindFreePort(free) };
            listener = Start(_address);
        }
        while (listener is null);

        _listener = listener;
    }

    public static bool HasIPv6
    {
        get
        {
            try
            {
                using var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
                socket.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    [Theory]
    [InlineData("GET /cb?code=a%20b&state=c HTTP/1.1\r\nHost: localhost:1\r\n\r\n", "code=a%20b&state=c")]
    [InlineData("GET /cb?x?y HTTP/1.1\r\nAccept: */*\r\nhOST:   127.0.0.1\r\n\r\nbody", "x?y")]
    [InlineData("GET /cb HTTP/1.0\r\nHost: [::1]:80\r\n\r\n", "")]
    public async Task The_answer_is_taken_from_the_query(string request, string query)
    {
        (await AskAsync(request)).ShouldBe($"answer to {query}");
        _queries.Reader.TryRead(out var seen).ShouldBeTrue();
        seen.ShouldBe(query);
    }

    [Theory]
    [InlineData("GET /CB?x HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)]
    [InlineData("GET /cb/?x HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)]
    [InlineData("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)]
    [InlineData("GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)]
    [InlineData("GET /cb?x HTTP/1.1\r\nHost: evil.test\r\n\r\n", 403)]
    [InlineData("GET /cb?x HTTP/1.1\r\nHost: localhost.evil.test\r\n\r\n", 403)]
    [InlineData("GET /cb?x HTTP/1.1\r\n\r\n", 403)]
    [InlineData("POST /cb?x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405)]
    [InlineData("HEAD /cb?x HTTP/1.1\r\nHost: localhost\r\n\r\n", 405)]
    [InlineData("GET /cb?x\r\nHost: localhost\r\n\r\n", 405)]
    [InlineData("\r\n\r\n", 405)]
    [InlineData("\0\u0001\u0002garbage", 400)]
    [InlineData("GET /cb?x HTTP/1.1\r\nHost: localhost\r\n", 400)]
    [InlineData("", 400)]
    public async Task Everything_else_is_refused(string request, int status)
    {
        var answer = await AskAsync(request);
        answer.ShouldStartWith($"HTTP/1.1 {status} ");
        answer.ShouldContain("Content-Security-Policy: default-src 'none'");
        answer.ShouldContain("</html>");
        _queries.Reader.TryPeek(out _).ShouldBeFalse();
        (await AskAsync("GET /cb?still HTTP/1.1\r\nHost: localhost\r\n\r\n")).ShouldBe("answer to still");
    }

    [Fact]
    public async Task A_head_without_end_is_refused() => (await AskAsync($"GET /cb?{new string('x', 32 * 1024)}")).ShouldStartWith("HTTP/1.1 400 ");

    [Fact]
    public async Task Both_loopback_addresses_are_listened_on()
    {
        Assert.SkipUnless(HasIPv6, "this machine has no IPv6");
        (await AskAsync("GET /cb?six HTTP/1.1\r\nHost: localhost\r\n\r\n", IPAddress.IPv6Loopback)).ShouldBe("answer to six");
        (await AskAsync("GET /cb?four HTTP/1.1\r\nHost: localhost\r\n\r\n")).ShouldBe("answer to four");
    }

    [Fact]
    public async Task A_silent_connection_holds_up_nobody()
    {
        using var silent = new TcpClient();
        await silent.ConnectAsync(IPAddress.Loopback, _address.Port);
        (await AskAsync("GET /cb?x HTTP/1.1\r\nHost: localhost\r\n\r\n")).ShouldBe("answer to x");
        await StopAsync();
    }

    [Fact]
    public async Task A_port_in_use_is_not_listened_on_until_it_is_free()
    {
        Start(_address).ShouldBeNull();
        Start(_address with { Host = "127.0.0.1" }).ShouldBeNull();
        await StopAsync();
        await using (var again = Start(_address).ShouldNotBeNull())
        {
        }

        if (HasIPv6)
        {
            // Whoever has one of the addresses could take the answer.
            using var other = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
            other.Bind(new IPEndPoint(IPAddress.IPv6Loopback, _address.Port));
            other.Listen();
            Start(_address).ShouldBeNull();
        }
    }

    private async Task StopAsync()
    {
        if (Interlocked.Exchange(ref _listener, null) is { } listener)
        {
            await listener.DisposeAsync().AsTask().WaitAsync(s_timeout);
        }
    }

    private CallbackListener? Start(RedirectAddress address) => CallbackListener.TryStart(
        address,
        (query, _) =>
        {
            _queries.Writer.TryWrite(query);
            return Task.FromResult(Encoding.ASCII.GetBytes($"answer to {query}"));
        },
        NullLogger.Instance);

    private async Task<string> AskAsync(string request, IPAddress? ip = null)
    {
        using var timeout = new CancellationTokenSource(s_timeout);
        using var client = new TcpClient((ip ?? IPAddress.Loopback).AddressFamily);
        await client.ConnectAsync(ip ?? IPAddress.Loopback, _address.Port, timeout.Token);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request), timeout.Token);
        if (!request.EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            client.Client.Shutdown(SocketShutdown.Send);
        }

        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync(timeout.Token);
    }
}
