using McpProxy.JsonRpc;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Relay.Sharing;

/// <summary>
/// One server that many clients use at once: of the modern era, whose stateless requests need no server each (MCP 2026-07-28, "stdio"),
/// or of the legacy era, with the clients' sessions kept apart on one session with the server.
/// </summary>
/// <param name="upstream">Makes the connection: when the first request comes, and anew after it has ended.</param>
/// <param name="logger">Where it logs.</param>
/// <param name="sessions">How sessions are kept with a legacy server; null for a modern one.</param>
/// <param name="time">The clock of idleness.</param>
public sealed class SharedUpstream(IUpstream upstream, ILogger? logger = null, SharedSessionOptions? sessions = null, TimeProvider? time = null) : IUpstream, IAsyncDisposable
{
    private readonly ILogger _logger = logger ?? NullLogger.Instance;
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Lock _gate = new();
    private readonly HashSet<SharedLane> _lanes = [];
    private SharedConnection? _connection;
    private Task _running = Task.CompletedTask;
    private long _lastUse;
    private bool _closed;

    /// <inheritdoc/>
    public string Name => upstream.Name;

    /// <summary>The clients that use it now.</summary>
    public int LaneCount
    {
        get
        {
            lock (_gate)
            {
                return _lanes.Count;
            }
        }
    }

    /// <inheritdoc/>
    public IConnection Connect()
    {
        var lane = new SharedLane(this);
        lock (_gate)
        {
            _lanes.Add(lane);
        }

        return lane;
    }

    /// <summary>Ends the server if no client has used it for a while. The next client gets a new one.</summary>
    /// <returns>Whether there is no server now.</returns>
    public async ValueTask<bool> CloseWhenIdleAsync(TimeSpan idle)
    {
        SharedConnection? connection;
        lock (_gate)
        {
            if (_connection is null || _lanes.Count > 0 || _time.GetElapsedTime(_lastUse) < idle)
            {
                return _connection is null && _lanes.Count == 0;
            }

            (connection, _connection) = (_connection, null);
        }

        await connection.DisposeAsync();
        return true;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        SharedConnection? connection;
        lock (_gate)
        {
            _closed = true;
            (connection, _connection) = (_connection, null);
        }

        if (connection is not null)
        {
            await connection.DisposeAsync();
        }

        await _running;
    }

    /// <summary>Sends a client's message.</summary>
    internal ValueTask<bool> SendAsync(SharedLane lane, JsonRpcMessage message, CancellationToken cancellationToken) =>
        Connection(lane) is { } connection ? connection.SendAsync(lane, message, cancellationToken) : new(false);

    /// <summary>A client is gone.</summary>
    internal async ValueTask LeaveAsync(SharedLane lane)
    {
        SharedConnection? connection;
        lock (_gate)
        {
            _lanes.Remove(lane);
            _lastUse = _time.GetTimestamp();
            connection = _connection;
        }

        if (connection is not null)
        {
            await connection.LeaveAsync(lane);
        }
    }

    private SharedConnection? Connection(SharedLane lane)
    {
        if (lane.HasSpoken && Volatile.Read(ref _connection) is { } current)
        {
            return current;
        }

        lock (_gate)
        {
            if (_closed)
            {
                return null;
            }

            if (_connection is null)
            {
                if (sessions is not null && lane.HasSpoken)
                {
                    // A session does not survive its server; its client has been told.
                    return null;
                }

                // The server outlives the request that it is started for: that one's trace and log scope end with it.
                using (ExecutionContext.SuppressFlow())
                {
                    _connection = new(upstream.Connect(), upstream.Name, sessions, _time, _logger);
                    _running = Task.WhenAll(_running, RunAsync(_connection));
                }
            }

            lane.HasSpoken = true;
            return _connection;
        }
    }

    private async Task RunAsync(SharedConnection connection)
    {
        List<SharedLane> orphans = [];
        ConnectionEnd? end = null;
        await connection.RunAsync(gone =>
        {
            lock (_gate)
            {
                if (_connection == connection)
                {
                    _connection = null;
                    orphans = sessions is null ? [] : [.. _lanes.Where(lane => lane.HasSpoken)];
                    end = gone;
                }
            }
        });
        orphans.ForEach(lane => lane.End(end!));
    }
}
