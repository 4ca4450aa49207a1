using McpProxy.Relay.Restarting;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras;

/// <summary>How often a command is started for modern clients, who have no session that could be slowed down: one that keeps dying is left alone for a while.</summary>
internal sealed partial class ServerStarts(string name, TimeProvider time, ILogger logger)
{
    private readonly RestartBackoff _backoff = new(time);

    /// <summary>Waits until the server may be started.</summary>
    public async Task PauseAsync(CancellationToken cancellationToken)
    {
        if (_backoff.Remaining is { Ticks: > 0 } wait)
        {
            LogBackingOff(logger, name, wait.TotalSeconds);
            await Task.Delay(wait, time, cancellationToken);
        }

        _backoff.Started();
    }

    /// <summary>The server has answered a client.</summary>
    public void Worked() => _backoff.Worked();

    /// <summary>The server is no more.</summary>
    public void Ended(ConnectionEnd end)
    {
        if (end.Reason != ConnectionEndReason.Closed)
        {
            _backoff.Died();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} keeps ending: it is started again in {Seconds:F1} s")]
    private static partial void LogBackingOff(ILogger logger, string name, double seconds);
}
