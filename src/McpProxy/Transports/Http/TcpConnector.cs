using System.Net;
using System.Net.Sockets;

namespace McpProxy.Transports.Http;

/// <summary>Connects over TCP with keep-alive: a peer that vanished without a word is noticed although streams have no read timeout.</summary>
internal static class TcpConnector
{
    /// <summary>Connects; where a name has several addresses, to the first that answers.</summary>
    /// <exception cref="SocketException">Nobody answers, or there is no such name.</exception>
    public static async ValueTask<Socket> ConnectAsync(EndPoint endPoint, CancellationToken cancellationToken)
    {
        var socket = endPoint is IPEndPoint address ? new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) : new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            // Options come after: a name with several addresses takes several attempts, which a socket with options cannot make on Unix.
            await socket.ConnectAsync(endPoint, cancellationToken);
            socket.NoDelay = true;
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 45);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 15);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
