namespace McpProxy.AspNetCore.Limits;

/// <summary>An allowance that fills at a steady rate, up to a burst.</summary>
internal sealed class TokenBucket(double perSecond, double burst, TimeProvider time)
{
    private readonly double _burst = burst;
    private double _tokens = burst;
    private long _filled = time.GetTimestamp();

    /// <summary>Whether it has been left alone for so long that a new one would be the same.</summary>
    public bool IsFull
    {
        get
        {
            Fill();
            return _tokens >= _burst;
        }
    }

    /// <summary>Takes tokens if there are enough; more than a burst can be had when it is full.</summary>
    public bool TryTake(double count)
    {
        Fill();
        if (_tokens < Math.Min(count, _burst))
        {
            return false;
        }

        _tokens -= count;
        return true;
    }

    /// <summary>How long until so many can be taken.</summary>
    public TimeSpan Until(double count)
    {
        Fill();
        return TimeSpan.FromSeconds(Math.Max(0, (Math.Min(count, _burst) - _tokens) / perSecond));
    }

    private void Fill()
    {
        var now = time.GetTimestamp();
        _tokens = Math.Min(_burst, _tokens + (time.GetElapsedTime(_filled, now).TotalSeconds * perSecond));
        _filled = now;
    }
}
