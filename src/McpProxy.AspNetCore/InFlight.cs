namespace McpProxy.AspNetCore;

/// <summary>Counts the requests that are being answered, for an end that waits for them.</summary>
internal sealed class InFlight
{
    private readonly Lock _gate = new();
    private int _count;
    private TaskCompletionSource? _none;

    /// <summary>A request has come.</summary>
    /// <returns>To be disposed of when it has been answered.</returns>
    public Request Enter()
    {
        lock (_gate)
        {
            _count++;
        }

        return new(this);
    }

    /// <summary>It has been answered, for who has nothing to dispose of.</summary>
    public void Leave()
    {
        lock (_gate)
        {
            if (--_count == 0)
            {
                _none?.TrySetResult();
                _none = null;
            }
        }
    }

    /// <summary>Completes when none is left.</summary>
    public Task NoneAsync()
    {
        lock (_gate)
        {
            return _count == 0 ? Task.CompletedTask : (_none ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>One request that is being answered.</summary>
    internal readonly struct Request(InFlight? all) : IDisposable
    {
        public void Dispose() => all?.Leave();
    }
}
