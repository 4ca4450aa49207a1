using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Http;

/// <summary>Connects over TCP with keep-alive: a peer that vanished without a word is noticed although streams have no read timeout.</summary>
internal static class TcpConnector
{
    private static readonly TimeSpan s_keepAliveAfter = TimeSpan.FromSeconds(45);
    private static readonly TimeSpan s_keepAliveInterval = TimeSpan.FromSeconds(15);

    /// <summary>Connects; where a name has several addresses, to the first that answers.</summary>
    /// <exception cref="SocketException">Nobody answers, or there is no such name.</exception>
    public static async ValueTask<Stream> ConnectAsync(EndPoint endPoint, CancellationToken cancellationToken)
    {
        var socket = endPoint is IPEndPoint address ? NewSocket(address) : new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            // Options come after: a name with several addresses takes several attempts, which a socket with options cannot make on Unix.
            await socket.ConnectAsync(endPoint, cancellationToken);
            SetOptions(socket);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>The same on an event loop, where the runtime's own engine is not to know of the socket.</summary>
    /// <exception cref="SocketException">Nobody answers, or there is no such name.</exception>
    [SupportedOSPlatform("linux")]
    public static async ValueTask<Stream> ConnectAsync(EndPoint endPoint, EventLoop loop, CancellationToken cancellationToken)
    {
        if (endPoint is not DnsEndPoint name)
        {
            return await ConnectAsync((IPEndPoint)endPoint, loop, cancellationToken);
        }

        var addresses = await Dns.GetHostAddressesAsync(name.Host, cancellationToken);
        for (var i = 0; i < addresses.Length; i++)
        {
            try
            {
                return await ConnectAsync(new IPEndPoint(addresses[i], name.Port), loop, cancellationToken);
            }
            catch (SocketException) when (i < addresses.Length - 1)
            {
                // The next one may answer.
            }
        }

        throw new SocketException((int)SocketError.HostNotFound);
    }

    [SupportedOSPlatform("linux")]
    private static async ValueTask<Stream> ConnectAsync(IPEndPoint address, EventLoop loop, CancellationToken cancellationToken)
    {
        var handle = Libc.NewTcpSocket(address.AddressFamily == AddressFamily.InterNetworkV6, s_keepAliveAfter, s_keepAliveInterval);
        DescriptorStream? stream = null;
        try
        {
            var isConnected = BeginConnect((int)handle.DangerousGetHandle(), address);
            stream = new(loop, handle, isSocket: true);
            if (!isConnected)
            {
                await stream.WaitToWriteAsync(cancellationToken);
                if (Libc.ErrorOf(stream.Descriptor) is not 0 and var error)
                {
                    throw Libc.SocketFailure(error);
                }
            }

            return stream;
        }
        catch
        {
            if (stream is not null)
            {
                await stream.DisposeAsync();
            }

            handle.Dispose();
            throw;
        }
    }

    /// <returns>Whether the connection is there already.</returns>
    [SupportedOSPlatform("linux")]
    private static unsafe bool BeginConnect(int socket, IPEndPoint address)
    {
        var bytes = address.Serialize();
        fixed (byte* start = bytes.Buffer.Span)
        {
            if (Libc.Connect(socket, start, (uint)bytes.Size) == 0)
            {
                return true;
            }
        }

        var error = Marshal.GetLastPInvokeError();
        return error is Libc.InProgress or Libc.Interrupted ? false : throw Libc.SocketFailure(error);
    }

    private static Socket NewSocket(IPEndPoint address) => new(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);

    private static void SetOptions(Socket socket)
    {
        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, (int)s_keepAliveAfter.TotalSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, (int)s_keepAliveInterval.TotalSeconds);
    }
}
