using McpProxy.Transports;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Relay.Restarting;

/// <summary>
/// A server whose death costs the requests in flight and nothing else: the next request starts it again, and it is told what the client
/// had told the one before it (<c>initialize</c>, the log level, the subscriptions).
/// </summary>
/// <param name="upstream">Starts the server, anew for each connection.</param>
/// <param name="time">The clock of the back-off: a server that keeps dying is started after 0, 0.5, 1, 2 … 30 s, until it has answered a client or run for 30 s.</param>
/// <param name="logger">Where it logs.</param>
public sealed class RestartingUpstream(IUpstream upstream, TimeProvider? time = null, ILogger? logger = null) : IUpstream
{
    /// <inheritdoc/>
    public string Name => upstream.Name;

    /// <summary>Told each time that a server ends which nobody has asked to.</summary>
    public event Action<ConnectionEnd>? Died;

    /// <inheritdoc/>
    public IConnection Connect() =>
        new RestartingConnection(upstream, end => Died?.Invoke(end), time ?? TimeProvider.System, logger ?? NullLogger.Instance);
}
