using McpProxy.Collections;
using McpProxy.Telemetry;

namespace McpProxy.AspNetCore.Responses;

/// <summary>The responses that are open, so that one clock can look after all of them.</summary>
internal sealed class OpenStreams : IAsyncDisposable
{
    /// <summary>How long a response waits for an answer that it could send as plain JSON.</summary>
    private static readonly TimeSpan s_moment = TimeSpan.FromMilliseconds(50);

    private readonly Lock _gate = new();
    private readonly LinkedMembers<EventStream> _streams = new();
    private readonly TimeSpan _interval;
    private readonly ITimer _startTimer;
    private int _isArmed;

    public OpenStreams(TimeSpan interval, TimeProvider time)
    {
        _interval = interval;
        _startTimer = time.CreateTimer(_ => StartSlow(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Add(EventStream stream)
    {
        lock (_gate)
        {
            _streams.Add(stream);
        }

        ProxyMeter.Stream(1);
        if (stream.StartsEventsEarly)
        {
            Arm();
        }
    }

    public void Remove(EventStream stream)
    {
        lock (_gate)
        {
            if (!_streams.Remove(stream))
            {
                return;
            }
        }

        ProxyMeter.Stream(-1);
    }

    /// <summary>Called every third of the interval, so that no stream is silent for longer than the interval.</summary>
    public void Tick()
    {
        foreach (var stream in Now())
        {
            // Not awaited: a client that does not read must not hold up the others. The stream handles its own failures.
            _ = stream.KeepAliveAsync(_interval * 0.6);
        }
    }

    public ValueTask DisposeAsync() => _startTimer.DisposeAsync();

    private List<EventStream> Now()
    {
        lock (_gate)
        {
            return _streams.ToList();
        }
    }

    private void Arm()
    {
        if (Interlocked.Exchange(ref _isArmed, 1) == 0)
        {
            _startTimer.Change(s_moment, Timeout.InfiniteTimeSpan);
        }
    }

    private void StartSlow()
    {
        _isArmed = 0;
        var isAnyLeft = false;
        foreach (var stream in Now())
        {
            if (stream.StartsEventsEarly && stream.IsUndecided)
            {
                isAnyLeft = true;
                _ = stream.StartIfSlowAsync(s_moment);
            }
        }

        if (isAnyLeft)
        {
            Arm();
        }
    }
}
