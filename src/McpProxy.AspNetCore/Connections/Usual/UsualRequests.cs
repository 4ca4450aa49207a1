using System.Globalization;
using System.Runtime.Versioning;
using System.Text;
using McpProxy.AspNetCore.Limits;
using McpProxy.Collections;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>
/// Answers what clients of the protocol send, in front of the server's own HTTP: a connection's requests are read and answered here until one is not as simple
/// as nearly all are; that one, and all that follow, are the server's. What the server does for any connection (its limits, its end) holds here too.
/// </summary>
/// <param name="targets">Who answers at which path. What the path's requests have to pass comes first there.</param>
/// <param name="limits">For how long a connection is kept.</param>
/// <param name="time">The clock of the responses' dates.</param>
/// <param name="logger">Where it logs.</param>
[SupportedOSPlatform("linux")]
internal sealed partial class UsualRequests(IReadOnlyDictionary<string, RequestDelegate> targets, ConnectionLimits limits, TimeProvider time, ILogger logger)
{
    /// <summary>The longest head that is read here, in bytes.</summary>
    public const int MostHead = 8 * 1024;

    private static readonly TimeSpan s_beat = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly LinkedMembers<UsualConnection> _connections = new();
    private byte[] _date = [];
    private ITimer? _heart;

    /// <summary>Who answers at which path.</summary>
    public IReadOnlyDictionary<string, RequestDelegate> Targets => targets;

    /// <summary>Where it logs.</summary>
    public ILogger Logger => logger;

    /// <summary>Puts it in front of the rest.</summary>
    public ConnectionDelegate Before(ConnectionDelegate next) => connection => connection is LoopConnection loop ? RunAsync(loop, next) : next(connection);

    /// <summary>The date of now, as it stands in a response (RFC 9110, section 6.6.1): at most a second old while there are connections.</summary>
    public ReadOnlyMemory<byte> Date() => _date;

    /// <summary>Has a connection told once a second that time passes.</summary>
    public void Join(UsualConnection connection)
    {
        lock (_gate)
        {
            if (_connections.IsEmpty)
            {
                ReadDate();
                _heart ??= time.CreateTimer(_ => Beat(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                _heart.Change(s_beat, s_beat);
            }

            _connections.Add(connection);
        }
    }

    /// <summary>Has it told no more.</summary>
    public void Leave(UsualConnection connection)
    {
        lock (_gate)
        {
            if (_connections.Remove(connection) && _connections.IsEmpty)
            {
                // Nobody is woken for nothing.
                _heart!.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            }
        }
    }

    /// <summary>Logs what should not have happened.</summary>
    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while answering on a connection")]
    public partial void LogDefect(Exception exception);

    private async Task RunAsync(LoopConnection connection, ConnectionDelegate next)
    {
        if (await new UsualConnection(connection, this, limits).RunAsync())
        {
            await next(connection);
        }
    }

    private void ReadDate() => _date = Encoding.ASCII.GetBytes(time.GetUtcNow().ToString("R", CultureInfo.InvariantCulture));

    private void Beat()
    {
        ReadDate();
        List<UsualConnection> connections;
        lock (_gate)
        {
            connections = _connections.ToList();
        }

        connections.ForEach(static connection => connection.Beat());
    }
}
