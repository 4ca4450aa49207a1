using System.Runtime.Versioning;
using System.Threading.Tasks.Sources;

namespace McpProxy.Transports.Polling;

/// <summary>One direction of a descriptor: whether it may be ready, and who waits for it.</summary>
[SupportedOSPlatform("linux")]
internal abstract class Half(DescriptorStream stream) : IValueTaskSource<int>, IValueTaskSource, IBatchEnd
{
    /// <summary>So often in a row within a batch; then others have their turn.</summary>
    private const int MaxInRow = 32;

    /// <summary>The result of <see cref="Try"/> when the descriptor is not ready.</summary>
    protected const int NotReady = -1;

    private readonly Lock _gate = new();
    private ManualResetValueTaskSourceCore<int> _source;
    private CancellationTokenRegistration _cancellation;
    private CancellationToken _token;
    private bool _isReady = true;
    private bool _isSeen;
    private bool _isOver;
    private bool _isWaiting;
    private bool _isClosed;
    private int _batch;
    private int _inRow;

    /// <summary>The stream that this is a half of.</summary>
    protected DescriptorStream Stream => stream;

    /// <summary>Makes no stream of it any more.</summary>
    /// <returns>Whether somebody waits, for whom <see cref="EndWaiting"/> must be called.</returns>
    public bool TryClose()
    {
        lock (_gate)
        {
            _isClosed = true;
            return TryTakeWaiter();
        }
    }

    /// <summary>Tells who waited that the stream is closed.</summary>
    public void EndWaiting() => _source.SetException(new ObjectDisposedException(nameof(DescriptorStream)));

    /// <summary>The loop has seen that the descriptor may be ready.</summary>
    /// <param name="isOver">Whether nothing changes any more: there will be no further event.</param>
    public void OnReady(bool isOver) => Continue(isSeen: true, isOver);

    /// <inheritdoc/>
    public void OnBatchEnd() => Continue(isSeen: false, isOver: false);

    int IValueTaskSource<int>.GetResult(short token) => _source.GetResult(token);

    void IValueTaskSource.GetResult(short token) => _source.GetResult(token);

    public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    /// <summary>Does what can be done without waiting.</summary>
    /// <param name="isDrained">Whether the descriptor is known not to be ready now, unless it <see cref="_isOver"/>.</param>
    /// <param name="error">The system's number, or zero.</param>
    /// <returns>The result, or <see cref="NotReady"/>.</returns>
    protected abstract int Try(out bool isDrained, out int error);

    /// <summary>Whether the loop has seen that it is ready, and nobody has acted on that yet.</summary>
    protected bool TakeSeen()
    {
        var isSeen = _isSeen;
        _isSeen = false;
        return isSeen;
    }

    /// <summary>Remembers nothing of what was to be done.</summary>
    protected abstract void Clear();

    /// <summary>Begins what <see cref="Try"/> does.</summary>
    /// <param name="prepare">Called under the lock, before the first <see cref="Try"/>.</param>
    /// <param name="work">What it is called with.</param>
    /// <param name="cancellationToken">Ends the waiting, and nothing that was done before.</param>
    /// <param name="token">The number to await with, where it was not done at once.</param>
    /// <returns>The result, or <see cref="NotReady"/>.</returns>
    protected int Start<T>(Action<Half, T> prepare, T work, CancellationToken cancellationToken, out short token)
    {
        token = 0;
        cancellationToken.ThrowIfCancellationRequested();
        lock (_gate)
        {
            Prepare(prepare, work);
            var mayTry = _isReady;
            if (mayTry && stream.Loop.IsCurrent && IsGreedy())
            {
                mayTry = false;
                stream.Loop.AtBatchEnd(this);
            }

            if (mayTry)
            {
                var result = TryOnce();
                if (result != NotReady)
                {
                    Clear();
                    return result;
                }
            }

            _source.Reset();
            _isWaiting = true;
            token = _source.Version;
            if (cancellationToken.CanBeCanceled)
            {
                _token = cancellationToken;
                _cancellation = cancellationToken.UnsafeRegister(static (half, cancelled) => ((Half)half!).Cancel(cancelled), this);
            }

            return NotReady;
        }
    }

    /// <summary>Does what can be done at once, and waits for nothing.</summary>
    /// <returns>The result, or <see cref="NotReady"/>.</returns>
    protected int TryStart<T>(Action<Half, T> prepare, T work)
    {
        lock (_gate)
        {
            Prepare(prepare, work);
            var result = _isReady ? TryOnce() : NotReady;
            Clear();
            return result;
        }
    }

    /// <summary>The same for what has no result but to be done.</summary>
    protected ValueTask StartAsync<T>(Action<Half, T> prepare, T work, CancellationToken cancellationToken)
    {
        try
        {
            return Start(prepare, work, cancellationToken, out var token) == NotReady ? new(this, token) : ValueTask.CompletedTask;
        }
        catch (Exception e)
        {
            return ValueTask.FromException(e);
        }
    }

    /// <summary>Asks something about the descriptor, which is open meanwhile.</summary>
    /// <returns>The answer; negative when the stream is closed.</returns>
    protected int Ask(Func<int, int> question)
    {
        lock (_gate)
        {
            return _isClosed ? -1 : question(stream.Descriptor);
        }
    }

    private void Prepare<T>(Action<Half, T> prepare, T work)
    {
        ObjectDisposedException.ThrowIf(_isClosed, stream);
        if (_isWaiting)
        {
            throw new InvalidOperationException("the last operation of this direction is still under way");
        }

        prepare(this, work);
    }

    /// <exception cref="IOException">The connection broke.</exception>
    private int TryOnce()
    {
        var result = TryNow(out var error);
        if (error != 0)
        {
            Clear();
            throw Libc.Error("the connection", error);
        }

        return result;
    }

    private int TryNow(out int error)
    {
        int result;
        bool isDrained;
        do
        {
            result = Try(out isDrained, out error);
        }
        while (error == Libc.Interrupted);

        if (error == Libc.WouldBlock)
        {
            (result, error) = (NotReady, 0);
            _isReady = false;
        }
        else if (isDrained && !_isOver)
        {
            // What comes later is a new edge. (The end of the stream came with one that has been seen, or will come with one.)
            _isReady = false;
        }

        return result;
    }

    private bool IsGreedy()
    {
        if (_batch != stream.Loop.Batch)
        {
            _batch = stream.Loop.Batch;
            _inRow = 0;
        }

        return ++_inRow > MaxInRow;
    }

    private void Continue(bool isSeen, bool isOver)
    {
        int result;
        int error;
        lock (_gate)
        {
            _isReady |= isSeen;
            _isSeen |= isSeen;
            _isOver |= isOver;
            if (!_isWaiting || !_isReady)
            {
                return;
            }

            result = TryNow(out error);
            if (result == NotReady && error == 0)
            {
                return;
            }

            _ = TryTakeWaiter();
        }

        if (error != 0)
        {
            _source.SetException(Libc.Error("the connection", error));
        }
        else
        {
            _source.SetResult(result);
        }
    }

    private void Cancel(CancellationToken cancelled)
    {
        lock (_gate)
        {
            // It may come late, when another operation waits: that is meant only if it has the same token.
            if (cancelled != _token || !TryTakeWaiter())
            {
                return;
            }
        }

        _source.SetException(new OperationCanceledException(cancelled));
    }

    private bool TryTakeWaiter()
    {
        if (!_isWaiting)
        {
            return false;
        }

        _isWaiting = false;
        _token = default;
        _ = _cancellation.Unregister();
        _cancellation = default;
        Clear();
        return true;
    }
}
