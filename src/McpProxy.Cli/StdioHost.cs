using McpProxy.Cli.CommandLine;
using McpProxy.Relay;
using McpProxy.Telemetry;
using McpProxy.Transports;
using McpProxy.Transports.Polling;
using McpProxy.Transports.Stdio;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli;

/// <summary>Serves the client that started this program, on standard input and output.</summary>
internal static partial class StdioHost
{
    /// <summary>Relays until one side ends.</summary>
    /// <param name="upstream">The server.</param>
    /// <param name="settings">What the command line says.</param>
    /// <param name="loop">What waits for the client's messages; null for a thread of their own.</param>
    /// <param name="loggers">Where logs go.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(IUpstream upstream, ProxySettings settings, EventLoop? loop, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var logger = loggers.CreateLogger("relay");
        var client = loop is not null && OperatingSystem.IsLinux()
            ? StdioConnection.OfThisProcess(settings.MaxMessageSize, loop)
            : StdioConnection.OfThisProcess(settings.MaxMessageSize);
        var session = new RelaySession(client, upstream.Connect(), settings.Relay, TimeProvider.System, logger);
        using var counted = ProxyMeter.Session("stdio");
        var end = await session.RunAsync(cancellationToken);
        if (!end.ByUpstream)
        {
            return ExitCode.Success;
        }

        switch (end.End.Reason)
        {
            case ConnectionEndReason.ChildExited:
                LogEnded(logger, end.End.ExitCode == 0 ? LogLevel.Information : LogLevel.Error, end.End.Detail);
                return end.End.ExitCode ?? ExitCode.Failure;
            case ConnectionEndReason.Closed:
                return ExitCode.Success;
            default:
                LogEnded(logger, LogLevel.Error, end.End.Detail);
                return ExitCode.Failure;
        }
    }

    [LoggerMessage(Message = "{Detail}")]
    private static partial void LogEnded(ILogger logger, LogLevel level, string detail);
}
