using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using McpProxy.Transports.Http;
using McpProxy.Transports.Polling;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Http;

/// <summary>Connections that are made on an event loop are what the runtime's are.</summary>
[SupportedOSPlatform("linux")]
public sealed class TcpConnectorTests : IDisposable
{
    private readonly EventLoop _loop;
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public TcpConnectorTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "epoll is Linux's");
        _loop = new("test loop");
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    public void Dispose()
    {
        _listener.Dispose();
        _loop?.Dispose();
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("localhost")]
    public async Task It_connects_with_keep_alive_and_without_delay(string host)
    {
        // Nobody listens on IPv6, where the name comes first.
        _listener.Listen();
        EndPoint endPoint = IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, Port) : new DnsEndPoint(host, Port);
        await using var stream = (DescriptorStream)await TcpConnector.ConnectAsync(endPoint, _loop, Stop);
        using var peer = await _listener.AcceptAsync(Stop);
        await stream.WriteAsync("hello"u8.ToArray(), Stop);
        (await peer.ReceiveAsync(new byte[10], Stop)).ShouldBe(5);
        using var options = new Socket(new SafeSocketHandle(stream.Descriptor, ownsHandle: false));
        options.NoDelay.ShouldBeTrue();
        ((int)options.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive)!).ShouldNotBe(0);
        options.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime).ShouldBe(45);
        options.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval).ShouldBe(15);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("localhost")]
    public async Task A_server_that_is_not_there_is_the_same_error(string host)
    {
        EndPoint endPoint = IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, Port) : new DnsEndPoint(host, Port);
        var error = await Should.ThrowAsync<SocketException>(async () => await TcpConnector.ConnectAsync(endPoint, _loop, Stop));
        var usual = await Should.ThrowAsync<SocketException>(async () => await TcpConnector.ConnectAsync(endPoint, Stop));
        error.SocketErrorCode.ShouldBe(usual.SocketErrorCode);
        error.Message.ShouldBe(usual.Message);
    }

    [Fact]
    public async Task A_name_that_is_not_there_is_the_same_error()
    {
        var endPoint = new DnsEndPoint("no-such-name.invalid", 80);
        var error = await Should.ThrowAsync<SocketException>(async () => await TcpConnector.ConnectAsync(endPoint, _loop, Stop));
        var usual = await Should.ThrowAsync<SocketException>(async () => await TcpConnector.ConnectAsync(endPoint, Stop));
        error.SocketErrorCode.ShouldBe(usual.SocketErrorCode);
    }

    [Fact]
    public async Task It_can_be_given_up()
    {
        // A queue that is full: further connections wait.
        _listener.Listen(0);
        var waiting = new List<Stream>();
        using var stop = new CancellationTokenSource();
        var connecting = Enumerable.Range(0, 16).Select(_ => TcpConnector.ConnectAsync(_listener.LocalEndPoint!, _loop, stop.Token).AsTask()).ToList();
        connecting.Exists(connection => !connection.IsCompleted).ShouldBeTrue();
        await stop.CancelAsync();
        foreach (var connection in connecting)
        {
            try
            {
                waiting.Add(await connection.WaitAsync(TimeSpan.FromSeconds(20), Stop));
            }
            catch (OperationCanceledException e)
            {
                e.CancellationToken.ShouldBe(stop.Token);
            }
        }

        waiting.Count.ShouldBeLessThan(16);
        waiting.ForEach(stream => stream.Dispose());
    }
}
