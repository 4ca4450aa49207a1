namespace McpProxy.Transports.Http.Plain;

/// <summary>The idle connections to one server: a bounded number of them, each for a bounded time.</summary>
internal sealed class PlainPool : IDisposable
{
    private const int MaxIdle = 256;

    /// <summary>How long a connection is kept that nobody needs.</summary>
    public static readonly TimeSpan IdleTimeout = TimeSpan.FromMinutes(1);

    /// <summary>How long a connection is used at all: a name may stand for other machines by then.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(15);

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly List<PlainConnection> _idle = [];
    private readonly ITimer _timer;
    private bool _isTimerSet;
    private bool _disposed;

    public PlainPool(TimeProvider time)
    {
        _time = time;
        _timer = time.CreateTimer(static state => ((PlainPool)state!).CloseExpired(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>The connection that was used last, if one is left; it may have been closed by the server.</summary>
    public PlainConnection? TryTake()
    {
        while (true)
        {
            PlainConnection connection;
            lock (_gate)
            {
                if (_idle.Count == 0)
                {
                    return null;
                }

                connection = _idle[^1];
                _idle.RemoveAt(_idle.Count - 1);
            }

            if (!IsExpired(connection, _time.GetTimestamp()))
            {
                return connection;
            }

            connection.Dispose();
        }
    }

    /// <summary>Takes a connection back after an exchange.</summary>
    public void Return(PlainConnection connection)
    {
        lock (_gate)
        {
            if (!_disposed && _idle.Count < MaxIdle && connection.IdleLimit != TimeSpan.Zero)
            {
                _idle.Add(connection);
                if (!_isTimerSet)
                {
                    _isTimerSet = true;
                    _timer.Change(IdleTimeout, Timeout.InfiniteTimeSpan);
                }

                return;
            }
        }

        connection.Dispose();
    }

    public void Dispose()
    {
        PlainConnection[] idle;
        lock (_gate)
        {
            _disposed = true;
            idle = [.. _idle];
            _idle.Clear();
        }

        _timer.Dispose();
        foreach (var connection in idle)
        {
            connection.Dispose();
        }
    }

    private bool IsExpired(PlainConnection connection, long now) =>
        _time.GetElapsedTime(connection.QuietSince, now) >= (connection.IdleLimit is { } limit && limit < IdleTimeout ? limit : IdleTimeout)
        || _time.GetElapsedTime(connection.Made, now) >= Lifetime;

    private void CloseExpired()
    {
        List<PlainConnection> expired;
        var now = _time.GetTimestamp();
        lock (_gate)
        {
            expired = _idle.FindAll(connection => IsExpired(connection, now));
            _idle.RemoveAll(expired.Contains);
            _isTimerSet = _idle.Count > 0 && !_disposed;
            if (_isTimerSet)
            {
                _timer.Change(IdleTimeout, Timeout.InfiniteTimeSpan);
            }
        }

        foreach (var connection in expired)
        {
            connection.Dispose();
        }
    }
}
