using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Versioning;
using McpProxy.AspNetCore.Limits;
using Microsoft.AspNetCore.Connections.Features;

namespace McpProxy.AspNetCore.Connections.Posts;

/// <summary>
/// Answers the requests of one connection for as long as they are usual ones, each where it was read. One goes on at a time; what comes meanwhile is read as
/// far as there is room, also because only so a client is seen to go.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class PostConnection
{
    /// <summary>For so many beats of the server's heart, which beats once a second, part of a request is waited for here.</summary>
    private const int MostBeatsOfPart = 2;

    private readonly LoopConnection _connection;
    private readonly UsualPosts _posts;
    private readonly PostHead _head;
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource<bool> _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action _onReadable;
    private readonly Action _onAnswered;
    private readonly double _mostIdleBeats;
    private ValueTaskAwaiter _readable;
    private TaskCompletionSource? _readableAfterwards;
    private IMemoryOwner<byte>? _block;
    private PostExchange? _exchange;
    private Task _answering = Task.CompletedTask;
    private int _start;
    private int _end;
    private int _requestEnd;
    private int _beats;
    private bool _isWaiting;
    private bool _isAnswering;
    private bool _isClosing;
    private bool _isOver;

    public PostConnection(LoopConnection connection, UsualPosts posts, ConnectionLimits limits)
    {
        _connection = connection;
        _posts = posts;
        _head = new(posts.Targets);
        _onReadable = OnReadable;
        _onAnswered = OnAnswered;
        _mostIdleBeats = limits.KeepAliveTimeout == TimeSpan.Zero ? double.PositiveInfinity : limits.KeepAliveTimeout.TotalSeconds;
    }

    private ReadOnlyMemory<byte> Unread => _block is null ? default : _block.Memory[_start.._end];

    private bool HasRoom => _block is null || _end < _block.Memory.Length;

    /// <summary>Answers what comes.</summary>
    /// <returns>True when something unusual has come, which is left to be read from the connection; false when the connection has ended.</returns>
    public async Task<bool> RunAsync()
    {
        _connection.Features.Get<IConnectionHeartbeatFeature>()?.OnHeartbeat(static connection => ((PostConnection)connection).Beat(), this);
        var closing = _connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        await using (closing.UnsafeRegister(static connection => ((PostConnection)connection!).CloseSoon(), this))
        {
            Wait();
            return await _over.Task;
        }
    }

    private int MostHead => Math.Min(UsualPosts.MostHead, _block?.Memory.Length ?? int.MaxValue);

    /// <summary>Waits for what comes next, unless there is no room for it. What is there already is read at once.</summary>
    [SuppressMessage("Reliability", "CA2012", Justification = "Consumed once, by whoever is called when it completes")]
    private void Wait()
    {
        do
        {
            lock (_gate)
            {
                if (_isWaiting || _isOver || !HasRoom)
                {
                    return;
                }

                _isWaiting = true;
            }

            _readable = _connection.Stream.WaitToReadAsync(CancellationToken.None).GetAwaiter();
            if (!_readable.IsCompleted)
            {
                _readable.UnsafeOnCompleted(_onReadable);
                return;
            }
        }
        while (TakeWhatCame());
    }

    private void OnReadable()
    {
        if (TakeWhatCame())
        {
            Wait();
        }
    }

    /// <returns>Whether there is more to wait for.</returns>
    [SuppressMessage("Usage", "VSTHRD002", Justification = "It has completed")]
    private bool TakeWhatCame()
    {
        Exception? error = null;
        bool isMine;
        try
        {
            _readable.GetResult();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            error = e;
        }

        lock (_gate)
        {
            _isWaiting = false;
            if (_readableAfterwards is { } others)
            {
                // The connection is somebody else's, who has waited for this.
                others.SetResult();
                return false;
            }

            if (_isOver)
            {
                return false;
            }

            if (error is not null || !TryRead(out error))
            {
                End(error);
                return false;
            }

            isMine = !_isAnswering && _end > _start;
            _isAnswering |= isMine;
            _beats = 0;
        }

        if (isMine)
        {
            Serve();
        }

        return true;
    }

    /// <returns>False at the end of what the client sends, with what broke it off, if anything did.</returns>
    private bool TryRead(out Exception? error)
    {
        error = null;
        if (_start == _end && !_isAnswering)
        {
            (_start, _end) = (0, 0);
        }

        _block ??= _connection.MemoryPool.Rent();
        try
        {
            var count = _connection.Stream.TryRead(_block.Memory[_end..]);
            if (count == 0)
            {
                return false;
            }

            _end += Math.Max(0, count);
        }
        catch (IOException e)
        {
            error = e;
            return false;
        }

        DropEmptyBlock();
        return true;
    }

    /// <summary>Answers all that has come as a whole.</summary>
    private void Serve()
    {
        while (true)
        {
            ReadOnlyMemory<byte> body;
            lock (_gate)
            {
                if (_isOver || !TryTake(out body))
                {
                    return;
                }
            }

            _answering = _exchange!.AnswerAsync(body);
            if (!_answering.IsCompleted)
            {
                _answering.GetAwaiter().UnsafeOnCompleted(_onAnswered);
                return;
            }

            if (!TryEnd())
            {
                return;
            }
        }
    }

    /// <summary>Takes the next request; where there is none, nobody is answering any more.</summary>
    private bool TryTake(out ReadOnlyMemory<byte> body)
    {
        body = default;
        var unread = Unread;
        var end = unread.Span.IndexOf("\r\n\r\n"u8);
        var isUsual = end < 0 ? unread.Length < MostHead : end < MostHead && _head.TryRead(unread.Span[..(end + 4)]);
        var length = end < 0 ? 0 : end + 4L + _head.BodyLength;
        if (!isUsual || length > _block?.Memory.Length)
        {
            PassOn();
            return false;
        }

        if (end >= 0 && unread.Length >= length)
        {
            body = unread.Slice(end + 4, _head.BodyLength);
            _requestEnd = _start + (int)length;
            _exchange ??= new(_connection, _head, _posts.Date, BodyTaken, _posts.Logger);
            return true;
        }

        _isAnswering = false;
        if (_isClosing && unread.IsEmpty)
        {
            End(null);
            return false;
        }

        if (_start > 0 && !unread.IsEmpty)
        {
            unread.CopyTo(_block!.Memory);
            (_start, _end) = (0, unread.Length);
        }

        DropEmptyBlock();
        return false;
    }

    private void BodyTaken()
    {
        lock (_gate)
        {
            if (_isAnswering && !_isOver)
            {
                _start = _requestEnd;
                DropEmptyBlock();
            }
        }
    }

    /// <summary>No memory is held while nothing is there.</summary>
    private void DropEmptyBlock()
    {
        if (_start == _end)
        {
            _block?.Dispose();
            (_block, _start, _end) = (null, 0, 0);
        }
    }

    private void OnAnswered()
    {
        if (TryEnd())
        {
            ServeOn();
        }
    }

    private void ServeOn()
    {
        Serve();
        Wait();
    }

    /// <summary>Ends the exchange.</summary>
    /// <returns>False when there is nothing to go on with yet, or no more.</returns>
    private bool TryEnd()
    {
        var ending = _exchange!.EndAsync(_answering, _isClosing);
        if (ending.IsCompletedSuccessfully)
        {
            return CanGoOn(ending.Result);
        }

        _ = EndSlowlyAsync(ending);
        return false;
    }

    private async Task EndSlowlyAsync(ValueTask<bool> ending)
    {
        if (CanGoOn(await ending))
        {
            ServeOn();
        }
    }

    private bool CanGoOn(bool isOpen)
    {
        lock (_gate)
        {
            _beats = 0;
            if (isOpen && !_isOver)
            {
                return true;
            }

            _isAnswering = false;
            End(null);
            return false;
        }
    }

    /// <summary>Leaves the connection to who can read what has come.</summary>
    private void PassOn()
    {
        _isOver = true;
        _readableAfterwards = _isWaiting ? new(TaskCreationOptions.RunContinuationsAsynchronously) : null;
        _connection.Return(Unread.ToArray(), _readableAfterwards?.Task);
        (_start, _end) = (0, 0);
        DropEmptyBlock();
        _exchange = null;
        _over.SetResult(true);
    }

    /// <summary>The connection is over: at once for the client, and here when nothing is being answered any more.</summary>
    private void End(Exception? error)
    {
        if (!_isOver)
        {
            _isOver = true;
            _connection.Close(error);
        }

        if (!_isAnswering)
        {
            (_start, _end) = (0, 0);
            DropEmptyBlock();
            _over.TrySetResult(false);
        }
    }

    private void CloseSoon()
    {
        lock (_gate)
        {
            _isClosing = true;
            if (!_isAnswering && !_isOver)
            {
                End(null);
            }
        }
    }

    private void Beat()
    {
        lock (_gate)
        {
            if (_isOver || _isAnswering)
            {
                return;
            }

            _beats++;
            if (_end > _start && _beats > MostBeatsOfPart)
            {
                PassOn();
            }
            else if (_beats > _mostIdleBeats)
            {
                End(null);
            }
        }
    }
}
