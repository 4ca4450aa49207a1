namespace McpProxy.Relay.Restarting;

/// <summary>How long a server that keeps dying is left alone before it is started again.</summary>
internal sealed class RestartBackoff(TimeProvider time)
{
    private static readonly TimeSpan s_first = TimeSpan.FromSeconds(0.5);
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(30);

    /// <summary>A server that ran for so long has not died of being started.</summary>
    private static readonly TimeSpan s_stable = TimeSpan.FromSeconds(30);

    private long _started = time.GetTimestamp();
    private long _ended;
    private int _failures;
    private volatile bool _hasWorked;

    /// <summary>How long to wait from now on; zero after the first death.</summary>
    public TimeSpan Remaining
    {
        get
        {
            if (_failures <= 1)
            {
                return TimeSpan.Zero;
            }

            var delay = TimeSpan.FromTicks(Math.Min(s_longest.Ticks, s_first.Ticks << Math.Min(_failures - 2, 10)));
            var left = delay - time.GetElapsedTime(_ended);
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    /// <summary>The server is being started.</summary>
    public void Started() => _started = time.GetTimestamp();

    /// <summary>The server has answered a client: what it dies of later is not its start.</summary>
    public void Worked() => _hasWorked = true;

    /// <summary>The server has died.</summary>
    public void Died()
    {
        _failures = _hasWorked || time.GetElapsedTime(_started) >= s_stable ? 1 : _failures + 1;
        _hasWorked = false;
        _ended = time.GetTimestamp();
    }
}
