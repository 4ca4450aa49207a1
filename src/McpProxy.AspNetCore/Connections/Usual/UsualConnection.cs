using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Versioning;
using McpProxy.AspNetCore.Limits;
using McpProxy.Collections;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>
/// Answers the requests of one connection for as long as they are usual ones, each where it was read. One goes on at a time; what comes meanwhile is read as
/// far as there is room, also because only so a client is seen to go.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class UsualConnection : Linked<UsualConnection>, IComingBody
{
    /// <summary>For so many seconds part of a small request is waited for here.</summary>
    private const int MostBeatsOfPart = 2;

    /// <summary>For so many seconds the rest of a body is waited for that was answered before it had come, so that the client reads the answer.</summary>
    private const int MostBeatsOfRest = 5;

    private readonly LoopConnection _connection;
    private readonly UsualRequests _requests;
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource<bool> _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action _onReadable;
    private readonly Action _onAnswered;
    private readonly ConnectionLimits _limits;
    private readonly UsualBody _body;
    private readonly ExecutionContext _context = ExecutionContext.Capture()!;
    private ValueTaskAwaiter _readable;
    private TaskCompletionSource? _readableAfterwards;
    private IMemoryOwner<byte>? _block;
    private UsualHead? _head;
    private UsualExchange? _exchange;
    private Task _answering = Task.CompletedTask;
    private int _start;
    private int _end;
    private int _bodyLeft;
    private int _beats;
    private TaskCompletionSource? _moreOfBody;
    private bool _isTooSlow;
    private bool _isReading;
    private bool _isWaiting;
    private bool _isAnswering;
    private bool _isSkipping;
    private bool _isClosing;
    private bool _isOver;

    public UsualConnection(LoopConnection connection, UsualRequests requests, ConnectionLimits limits)
    {
        _connection = connection;
        _requests = requests;
        _onReadable = OnReadable;
        _onAnswered = OnAnswered;
        _limits = limits;
        _body = new(this);
    }

    private ReadOnlyMemory<byte> Unread => _block is null ? default : _block.Memory[_start.._end];

    private int MostHead => Math.Min(UsualRequests.MostHead, _block?.Memory.Length ?? int.MaxValue);

    private bool HasRoom => _block is null || _end < _block.Memory.Length;

    /// <summary>Answers what comes.</summary>
    /// <returns>True when something unusual has come, which is left to be read from the connection; false when the connection has ended.</returns>
    public async Task<bool> RunAsync()
    {
        var closing = _connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? default;
        _requests.Join(this);
        try
        {
            await using (closing.UnsafeRegister(static connection => ((UsualConnection)connection!).CloseSoon(), this))
            {
                Read();
                return await _over.Task;
            }
        }
        finally
        {
            _requests.Leave(this);
        }
    }

    /// <summary>Called once a second.</summary>
    public void Beat()
    {
        TaskCompletionSource? moreOfBody = null;
        lock (_gate)
        {
            if (_isOver || (_isAnswering && !_isSkipping && _moreOfBody is null))
            {
                return;
            }

            _beats++;
            if (_isSkipping)
            {
                if (_beats > MostBeatsOfRest || _isClosing)
                {
                    _isAnswering = false;
                    End(null);
                }
            }
            else if (_isAnswering)
            {
                if (_limits.IsTooSlow(TimeSpan.FromSeconds(_beats), _head!.BodyLength - _bodyLeft))
                {
                    _isTooSlow = true;
                    _exchange!.CloseAfterwards();
                    (moreOfBody, _moreOfBody) = (_moreOfBody, null);
                }
            }
            else if (_end > _start)
            {
                if (_beats > MostBeatsOfPart)
                {
                    PassOn();
                }
            }
            else if (_limits.KeepAliveTimeout > TimeSpan.Zero && _beats > _limits.KeepAliveTimeout.TotalSeconds)
            {
                End(null);
            }
        }

        moreOfBody?.SetResult();
    }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> BodyThatCame(out bool isAll)
    {
        lock (_gate)
        {
            var came = Unread[..Math.Min(Unread.Length, _bodyLeft)];
            isAll = came.Length == _bodyLeft;
            return isAll || !came.IsEmpty ? came
                : _isTooSlow ? throw new BadHttpRequestException("The body comes too slowly", StatusCodes.Status408RequestTimeout)
                : _isOver ? throw new ConnectionResetException("The client has gone in the middle of a body")
                : came;
        }
    }

    /// <inheritdoc/>
    public Task MoreOfBodyAsync()
    {
        Task more;
        lock (_gate)
        {
            if (_isOver || _isTooSlow || _bodyLeft == 0 || !Unread.IsEmpty)
            {
                return Task.CompletedTask;
            }

            more = (_moreOfBody ??= new()).Task;
        }

        // There may have been no room for it.
        Read();
        return more;
    }

    /// <inheritdoc/>
    public void TakeOfBody(int count)
    {
        lock (_gate)
        {
            count = Math.Min(count, _bodyLeft);
            _bodyLeft -= count;
            if (!_isOver)
            {
                _start += count;
                DropEmptyBlock();
            }
        }
    }

    /// <summary>Reads what comes, unless somebody does already or there is no room for it.</summary>
    private void Read()
    {
        // Whoever stops for want of room says so before there can be more of it.
        if (Volatile.Read(ref _isReading))
        {
            return;
        }

        lock (_gate)
        {
            if (_isReading)
            {
                return;
            }

            _isReading = true;
        }

        ReadOn();
    }

    [SuppressMessage("Reliability", "CA2012", Justification = "Consumed once, by whoever is called when it completes")]
    private void ReadOn()
    {
        do
        {
            lock (_gate)
            {
                if (_isOver || !HasRoom)
                {
                    _isReading = false;
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
            ReadOn();
        }
    }

    /// <returns>Whether there is more to wait for.</returns>
    [SuppressMessage("Usage", "VSTHRD002", Justification = "It has completed")]
    private bool TakeWhatCame()
    {
        Exception? error = null;
        TaskCompletionSource? moreOfBody;
        var (isMine, isOver) = (false, false);
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

            (moreOfBody, _moreOfBody) = (_moreOfBody, null);
            if (_start == _end && !_isAnswering)
            {
                _beats = 0;
            }

            if (error is not null || !TryRead(out error))
            {
                End(error);
                isOver = true;
            }
            else
            {
                Skip();
                isMine = !_isAnswering && _end > _start;
                _isAnswering |= isMine;
            }
        }

        moreOfBody?.SetResult();
        if (isMine)
        {
            Serve();
        }

        return !isOver;
    }

    /// <returns>False at the end of what the client sends, with what broke it off, if anything did.</returns>
    private bool TryRead(out Exception? error)
    {
        error = null;
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
        catch (Exception e) when (e is IOException or ObjectDisposedException)
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
            lock (_gate)
            {
                if (_isOver)
                {
                    // Between two requests, on the thread that reads.
                    _isAnswering = false;
                    End(null);
                    return;
                }

                if (!TryTake())
                {
                    return;
                }
            }

            _answering = AnswerAsync();
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

    /// <summary>In the context of the connection, whose ever thread this is: what a request leaves in it must not reach another.</summary>
    private Task AnswerAsync()
    {
        var others = ExecutionContext.Capture();
        if (!ReferenceEquals(others, _context))
        {
            ExecutionContext.Restore(_context);
        }

        try
        {
            return _exchange!.AnswerAsync();
        }
        finally
        {
            if (!ReferenceEquals(ExecutionContext.Capture(), others) && others is not null)
            {
                ExecutionContext.Restore(others);
            }
        }
    }

    /// <summary>Takes the next request; where there is none, nobody is answering any more.</summary>
    private bool TryTake()
    {
        var unread = Unread;
        var end = unread.Span.IndexOf("\r\n\r\n"u8);
        _head ??= new(_requests.Targets);
        if (end < 0 ? unread.Length >= MostHead || !_head.MayBecomeUsual(unread.Span) : end >= MostHead || !_head.TryRead(unread.Span[..(end + 4)]))
        {
            PassOn();
            return false;
        }

        if (end >= 0 && unread[(end + 4)..] is var came && (came.Length >= _head.BodyLength || end + 4L + _head.BodyLength > _block!.Memory.Length))
        {
            // What is larger than a block is read by whoever wants it, as it comes.
            var isWhole = came.Length >= _head.BodyLength;
            _bodyLeft = _head.BodyLength;
            _start += end + 4;
            (_beats, _isTooSlow) = (0, false);
            _body.Begin(came[..Math.Min(came.Length, _bodyLeft)], isWhole);
            if (!isWhole || _bodyLeft == 0)
            {
                // The head may have filled the block to its end, or be all there is.
                DropEmptyBlock();
            }

            _exchange ??= new(_connection, _head, _body, _requests.Date, _requests.Logger);
            if (_isClosing)
            {
                _exchange.CloseAfterwards();
            }

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

    /// <summary>Leaves out the rest of a body that nobody wants.</summary>
    private void Skip()
    {
        if (!_isSkipping)
        {
            return;
        }

        var count = Math.Min(_end - _start, _bodyLeft);
        _start += count;
        _bodyLeft -= count;
        _isSkipping = _bodyLeft > 0;
        _isAnswering = _isSkipping;
        DropEmptyBlock();
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
        Read();
    }

    /// <summary>Ends the exchange.</summary>
    /// <returns>False when there is nothing to go on with yet, or no more.</returns>
    private bool TryEnd()
    {
        var ending = _exchange!.EndAsync(_answering);
        if (ending.IsCompletedSuccessfully)
        {
            return CanGoOn(ending.Result);
        }

        _ = EndSlowlyAsync(ending);
        return false;
    }

    private async Task EndSlowlyAsync(ValueTask<bool> ending)
    {
        bool isOpen;
        try
        {
            isOpen = await ending;
        }
        catch (Exception e)
        {
            _requests.LogDefect(e);
            isOpen = false;
        }

        if (CanGoOn(isOpen))
        {
            ServeOn();
        }
    }

    private bool CanGoOn(bool isOpen)
    {
        lock (_gate)
        {
            _beats = 0;
            _isSkipping = isOpen && !_isOver && _bodyLeft > 0;
            Skip();
            if (isOpen && !_isOver && !_isSkipping)
            {
                // Mostly nothing else has come; a connection that is to close is ended where the next request is looked for.
                _isAnswering = _end > _start || _isClosing;
                if (_isAnswering)
                {
                    return true;
                }
            }
            else if (!_isSkipping)
            {
                _isAnswering = false;
                End(null);
                return false;
            }
        }

        // There may have been no room for it.
        Read();
        return false;
    }

    /// <summary>Leaves the connection to who can read what has come.</summary>
    private void PassOn()
    {
        _isOver = true;
        _readableAfterwards = _isWaiting ? new(TaskCreationOptions.RunContinuationsAsynchronously) : null;
        _connection.Return(Unread.ToArray(), _readableAfterwards?.Task);
        (_start, _end) = (0, 0);
        DropEmptyBlock();

        _over.SetResult(true);
    }

    /// <summary>The connection is over: at once for the client, and here when nothing is being answered any more.</summary>
    private void End(Exception? error)
    {
        var isFirst = !_isOver;
        _isOver = true;
        if (!_isAnswering)
        {
            (_start, _end) = (0, 0);
            DropEmptyBlock();
        }

        // Elsewhere: who waits for the connection goes on where it is closed, which must not be under the lock.
        ThreadPool.UnsafeQueueUserWorkItem(
            static end =>
            {
                if (end.IsFirst)
                {
                    end.Of._connection.Close(end.Error);
                }

                if (end.IsLast)
                {
                    end.Of._over.TrySetResult(false);
                }
            },
            (Of: this, Error: error, IsFirst: isFirst, IsLast: !_isAnswering),
            preferLocal: false);
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
            else
            {
                _exchange?.CloseAfterwards();
            }
        }
    }
}
