namespace McpProxy.Transports.Http.Plain;

/// <summary>
/// How long the responses on a connection may take to begin. The timer runs on between exchanges, and looks when it rings whether that is
/// meant: setting it for each exchange would cost more than many an exchange.
/// </summary>
/// <param name="time">The clock.</param>
/// <param name="expired">Called when a response has not begun in time.</param>
internal sealed class ResponseClock(TimeProvider time, Action expired) : IDisposable
{
    private readonly Lock _gate = new();
    private ITimer? _timer;
    private TimeSpan _limit;
    private long _started;
    private TimeSpan? _rings;
    private bool _isWaiting;
    private bool _hasExpired;

    /// <summary>A response is waited for from now on.</summary>
    public void Start(TimeSpan limit)
    {
        if (limit == Timeout.InfiniteTimeSpan)
        {
            return;
        }

        var now = time.GetTimestamp();
        lock (_gate)
        {
            _isWaiting = true;
            _limit = limit;
            _started = now;
            if (_rings is null || limit < _rings)
            {
                _timer ??= time.CreateTimer(static state => ((ResponseClock)state!).Ring(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                SetTimer(limit);
            }
        }
    }

    /// <summary>The response has begun, or nobody waits any more.</summary>
    /// <returns>False when the time was over before.</returns>
    public bool Stop()
    {
        if (_timer is null)
        {
            return true;
        }

        lock (_gate)
        {
            _isWaiting = false;
            return !_hasExpired;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isWaiting = false;
            _timer?.Dispose();
        }
    }

    private void SetTimer(TimeSpan wait)
    {
        // Never later than that: a limit as long as this one, from now on, ends after it.
        _rings = wait;
        _timer!.Change(wait, Timeout.InfiniteTimeSpan);
    }

    private void Ring()
    {
        lock (_gate)
        {
            _rings = null;
            if (!_isWaiting)
            {
                return;
            }

            if (_limit - time.GetElapsedTime(_started) is var left && left > TimeSpan.Zero)
            {
                SetTimer(left);
                return;
            }

            _isWaiting = false;
            _hasExpired = true;
        }

        expired();
    }
}
