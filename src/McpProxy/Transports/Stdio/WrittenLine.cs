using System.Threading.Tasks.Sources;

namespace McpProxy.Transports.Stdio;

/// <summary>Somebody who waits until a line was written. Mostly that is soon, and then it is used again for the next one.</summary>
/// <param name="home">Where it goes when it can be used again.</param>
/// <param name="isInline">Whether who waits is continued by whoever has written the line.</param>
internal sealed class WrittenLine(Stack<WrittenLine> home, bool isInline) : IValueTaskSource<bool>
{
    /// <summary>How many are kept: more lines are seldom written at once.</summary>
    private const int MaxKept = 256;

    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = !isInline };
    private CancellationTokenRegistration _cancellation;
    private CancellationToken _token;
    private bool _mayGiveUp;
    private int _isOver;

    /// <summary>Begins to wait.</summary>
    /// <param name="cancellationToken">Gives up, once that is allowed.</param>
    public ValueTask<bool> BeginAsync(CancellationToken cancellationToken)
    {
        _isOver = 0;
        _token = cancellationToken;
        _source.Reset();
        return new(this, _source.Version);
    }

    /// <summary>From now on who waits can give up: it may take its time.</summary>
    public void LetGiveUp()
    {
        _mayGiveUp = true;
        _cancellation = _token.UnsafeRegister(static (line, token) => ((WrittenLine)line!).End(isWritten: false, new OperationCanceledException(token)), this);
        if (Volatile.Read(ref _isOver) != 0)
        {
            // Written meanwhile.
            _cancellation.Unregister();
        }
    }

    /// <summary>The line was written, or could not be.</summary>
    public void Written(bool isWritten) => End(isWritten, null);

    bool IValueTaskSource<bool>.GetResult(short token)
    {
        var isWritten = _source.GetResult(token);
        if (!_mayGiveUp)
        {
            // Otherwise a cancellation might come when it waits for the next line.
            lock (home)
            {
                if (home.Count < MaxKept)
                {
                    home.Push(this);
                }
            }
        }

        return isWritten;
    }

    ValueTaskSourceStatus IValueTaskSource<bool>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<bool>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    private void End(bool isWritten, Exception? exception)
    {
        if (Interlocked.Exchange(ref _isOver, 1) != 0)
        {
            return;
        }

        _cancellation.Unregister();
        if (exception is not null)
        {
            _source.SetException(exception);
        }
        else
        {
            _source.SetResult(isWritten);
        }
    }
}
