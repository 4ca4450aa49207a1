using McpProxy.Relay;

namespace McpProxy.Cli.Memory;

/// <summary>
/// Gives memory back in every quiet spell: when no message has passed for a while, and once more when what is pooled has grown old enough to be
/// let go. The clock runs only while there is something to wait for: a program that has nothing to do is not woken.
/// </summary>
internal sealed class QuietTrim : IActivity, IDisposable
{
    // The clock looks back at whole steps, so that a message need not read the time.
    private const int StepsOfQuiet = 5;

    /// <summary>Pools of arrays let go of what nobody has used for 30 s, when they are asked.</summary>
    private static readonly TimeSpan s_secondLook = TimeSpan.FromSeconds(35);

    private readonly TimeSpan _step;
    private readonly Action _trim;
    private readonly ITimer _timer;
    private readonly ITimer _secondLook;
    private volatile bool _isActive;
    private volatile bool _isDisposed;
    private int _isArmed;
    private int _quietSteps;

    /// <param name="quiet">How long nothing must have passed; it may become a fifth more.</param>
    /// <param name="trim">Gives memory back. Runs on a thread of the pool, never twice at once.</param>
    /// <param name="time">The clock.</param>
    public QuietTrim(TimeSpan quiet, Action trim, TimeProvider time)
    {
        _step = quiet / StepsOfQuiet;
        _trim = trim;
        _timer = time.CreateTimer(_ => Step(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _secondLook = time.CreateTimer(_ => LookAgain(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Happened()
    {
        // Mostly a read: writing what is so already would take the cache line from the other processors.
        if (_isActive)
        {
            return;
        }

        _isActive = true;
        Arm();
    }

    public void Dispose()
    {
        _isDisposed = true;
        _timer.Dispose();
        _secondLook.Dispose();
    }

    private void Arm()
    {
        if (Volatile.Read(ref _isArmed) == 0 && Interlocked.Exchange(ref _isArmed, 1) == 0)
        {
            Wait();
        }
    }

    private void Wait() => _timer.Change(_step, Timeout.InfiniteTimeSpan);

    private void Step()
    {
        if (_isActive)
        {
            _isActive = false;
            _quietSteps = 0;
        }
        else if (++_quietSteps == StepsOfQuiet)
        {
            EndSpell();
            return;
        }

        Wait();
    }

    /// <summary>Trims once more, unless a message has passed since: then its own spell has a second look of its own.</summary>
    private void LookAgain()
    {
        if (!_isDisposed && Interlocked.Exchange(ref _isArmed, 1) == 0)
        {
            _trim();
            Release();
        }
    }

    private void EndSpell()
    {
        _quietSteps = 0;
        if (_isDisposed)
        {
            return;
        }

        _trim();
        _secondLook.Change(s_secondLook, Timeout.InfiniteTimeSpan);
        Release();
    }

    private void Release()
    {
        Volatile.Write(ref _isArmed, 0);

        // A message that has just been missed either sees that the clock stands, or is seen here. The barrier is paid for here, not by each message.
        Interlocked.MemoryBarrierProcessWide();
        if (_isActive)
        {
            Arm();
        }
    }
}
