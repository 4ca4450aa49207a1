namespace McpProxy.Relay;

/// <summary>Counts the requests that are being answered, for an end that waits for them.</summary>
internal sealed class InFlight
{
    private int _count;
    private TaskCompletionSource? _none;

    /// <summary>A request has come.</summary>
    /// <returns>To be disposed of when it has been answered.</returns>
    public Request Enter()
    {
        Interlocked.Increment(ref _count);
        return new(this);
    }

    /// <summary>It has been answered, for who has nothing to dispose of.</summary>
    public void Leave() => Leave(1);

    /// <summary>So many have been answered.</summary>
    public void Leave(int count)
    {
        // In this order: whoever waits has begun to before there was none.
        if (Interlocked.Add(ref _count, -count) == 0 && Volatile.Read(ref _none) is { } none && Volatile.Read(ref _count) == 0)
        {
            Complete(none);
        }
    }

    /// <summary>Completes when none is left.</summary>
    public Task NoneAsync()
    {
        var none = Volatile.Read(ref _none);
        if (none is null)
        {
            var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            none = Interlocked.CompareExchange(ref _none, mine, null) ?? mine;
        }

        // Said before it is looked: whoever leaves last looks after it has left.
        if (Volatile.Read(ref _count) == 0)
        {
            Complete(none);
        }

        return none.Task;
    }

    private void Complete(TaskCompletionSource none)
    {
        // Taken away first: who waits from now on waits for others.
        Interlocked.CompareExchange(ref _none, null, none);
        none.TrySetResult();
    }

    /// <summary>One request that is being answered.</summary>
    internal readonly struct Request(InFlight? all) : IDisposable
    {
        public void Dispose() => all?.Leave();
    }
}
