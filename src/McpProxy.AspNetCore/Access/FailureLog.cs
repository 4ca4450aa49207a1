using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Access;

/// <summary>Writes failed attempts to the log: some of them at once, of the rest how many there were. Whoever tries keys does not fill a disk.</summary>
internal sealed partial class FailureLog(TimeProvider time, ILogger logger)
{
    private const int MaxInPeriod = 10;
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private long _start = time.GetTimestamp();
    private int _count;

    /// <summary>Notes a failed attempt.</summary>
    /// <param name="address">Where it came from.</param>
    /// <param name="scheme">How it was tried.</param>
    /// <param name="reason">Why it failed; no secret is in it.</param>
    public void Add(string address, string scheme, string reason)
    {
        int left;
        lock (_gate)
        {
            left = 0;
            if (time.GetElapsedTime(_start) >= s_period)
            {
                left = Math.Max(0, _count - MaxInPeriod);
                (_start, _count) = (time.GetTimestamp(), 0);
            }

            if (++_count > MaxInPeriod)
            {
                return;
            }
        }

        if (left > 0)
        {
            LogLeftOut(left);
        }

        LogFailure(address, scheme, reason);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Turned {Address} away ({Scheme}): {Reason}")]
    private partial void LogFailure(string address, string scheme, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} more attempts failed in the meantime")]
    private partial void LogLeftOut(int count);
}
