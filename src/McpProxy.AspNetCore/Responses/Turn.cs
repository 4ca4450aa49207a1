namespace McpProxy.AspNetCore.Responses;

/// <summary>
/// Has one at a time go on, in the order in which they came. There are two of these for each request, and hardly ever does anybody wait: that costs one
/// exchange, and no memory. A value that stands in whoever has it, and is never copied.
/// </summary>
internal struct Turn
{
    private Line? _line;
    private int _users;

    /// <summary>Completes when it is the caller's turn, which <see cref="Leave"/> ends.</summary>
    public Task EnterAsync() => Interlocked.CompareExchange(ref _users, 1, 0) == 0 ? Task.CompletedTask : WaitAsync();

    /// <summary>Lets the next one go on, on another thread.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            return;
        }

        Waiting().LetNextGo();
    }

    private Task WaitAsync() => Waiting().JoinAsync(ref _users);

    /// <summary>Those who wait, once there are any.</summary>
    private Line Waiting() => Volatile.Read(ref _line) ?? Interlocked.CompareExchange(ref _line, new(), null) ?? _line;

    private sealed class Line
    {
        private readonly Lock _gate = new();
        private readonly Queue<TaskCompletionSource> _waiting = new();

        public Task JoinAsync(ref int users)
        {
            lock (_gate)
            {
                // Whoever leaves in this moment takes the lock after this, and finds who waits.
                if (Interlocked.Increment(ref users) == 1)
                {
                    return Task.CompletedTask;
                }

                var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiting.Enqueue(turn);
                return turn.Task;
            }
        }

        public void LetNextGo()
        {
            lock (_gate)
            {
                _waiting.Dequeue().SetResult();
            }
        }
    }
}
