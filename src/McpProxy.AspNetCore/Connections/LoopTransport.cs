using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Connections;

/// <summary>
/// The server's transport on event loops: a request is read, handled and answered on the thread that saw it come, as far as nothing has to be waited for.
/// </summary>
/// <param name="loops">The loops, which outlive it.</param>
/// <param name="options">What connections may hold.</param>
/// <param name="time">The clock of the wait when the system has no descriptor left.</param>
/// <param name="logger">Where it logs.</param>
[SupportedOSPlatform("linux")]
internal sealed class LoopTransport(EventLoops loops, LoopTransportOptions options, TimeProvider time, ILogger logger) : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    /// <inheritdoc/>
    public bool CanBind(EndPoint endpoint) => endpoint is IPEndPoint;

    /// <summary>Begins to listen.</summary>
    /// <exception cref="AddressInUseException">Somebody else listens there.</exception>
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        Socket socket;
        try
        {
            socket = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new AddressInUseException(e.Message, e);
        }

        try
        {
            // Both are passed on to what is accepted.
            socket.NoDelay = true;
            socket.Blocking = false;
            socket.Listen(options.Backlog);
            return new(new LoopListener(socket, loops, options, time, logger));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
