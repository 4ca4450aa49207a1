using System.Buffers;
using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Stdio;

/// <summary>
/// Writes messages as lines. What comes while a write is under way waits together and goes out with the next one; and so does, on an
/// <see cref="EventLoop"/>, what the events of one batch bring.
/// </summary>
internal sealed class StdioWriter : IBatchEnd
{
    /// <summary>Up to here messages are copied, together with their line end; longer ones are written from where they are.</summary>
    private const int MaxCopied = 64 * 1024;

    private static readonly SearchValues<byte> s_lineBreaks = SearchValues.Create("\r\n"u8);
    private static readonly ReadOnlyMemory<byte> s_lineEnd = "\n"u8.ToArray();

    private readonly Stream _stream;
    private readonly bool _isBlocking;
    private readonly bool _confirms;
    private readonly EventLoop? _loop;
    private readonly Lock _gate = new();
    private readonly Stack<WrittenLine> _lines = [];
    private Waiting? _waiting;
    private Waiting? _spare;
    private TaskCompletionSource? _turn;
    private bool _isTaken;
    private bool _isHeld;
    private volatile bool _closed;

    /// <param name="stream">Where to.</param>
    /// <param name="isBlocking">Whether the stream has no asynchronous writes of its own: then a detour over the thread pool would gain nothing.</param>
    /// <param name="confirms">
    /// Whether who writes waits until it is written. If not, a short message counts as written when it is copied, and only who finds no room waits: for a
    /// reader whose end says by itself what has not reached it.
    /// </param>
    public StdioWriter(Stream stream, bool isBlocking, bool confirms = true)
    {
        _confirms = confirms;
        _stream = stream;
        _isBlocking = isBlocking;
        _loop = OperatingSystem.IsLinux() && stream is DescriptorStream descriptor ? descriptor.Loop : null;
    }

    /// <summary>Called when the reader is found to be gone.</summary>
    public Action? Broken { get; set; }

    /// <summary>Writes one message and the line end.</summary>
    /// <returns>False when the reader is gone.</returns>
    public ValueTask<bool> WriteAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        while (true)
        {
            lock (_gate)
            {
                var isShort = message.Length < MaxCopied;
                if (!_isTaken)
                {
                    _isTaken = true;
                    if (!isShort || !TryHold())
                    {
                        break;
                    }

                    return AddWaiting(message.Span, cancellationToken);
                }

                if (_turn is null && (_waiting?.Length ?? 0) + message.Length < MaxCopied)
                {
                    return AddWaiting(message.Span, cancellationToken);
                }

                if (!_isHeld)
                {
                    return WriteInTurnAsync(message, cancellationToken);
                }

                _isHeld = false;
            }

            // What waits for the end of the batch is enough for a write, or in the way of a long message.
            _ = WriteWaitingAsync();
        }

        return _isBlocking && message.Length < MaxCopied ? new(WriteOwn(message.Span)) : WriteOwnAsync(message);
    }

    /// <inheritdoc/>
    public void OnBatchEnd()
    {
        lock (_gate)
        {
            if (!_isHeld)
            {
                return;
            }

            _isHeld = false;
        }

        _ = WriteWaitingAsync();
    }

    /// <summary>Completes when all that counts as written is, or the reader is gone.</summary>
    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        if (_confirms)
        {
            return;
        }

        await TakeTurnAsync(cancellationToken);
        _ = WriteWaitingAsync();
    }

    /// <summary>Closes the stream after the write under way, so that the reader sees the end of input.</summary>
    public async ValueTask CloseAsync(CancellationToken cancellationToken)
    {
        await TakeTurnAsync(cancellationToken);
        try
        {
            if (!_closed)
            {
                _closed = true;
                await _stream.DisposeAsync();
            }
        }
        catch (IOException)
        {
            // The reader is gone: it needs no end of input.
        }
        finally
        {
            _ = WriteWaitingAsync();
        }
    }

    private async ValueTask<bool> WriteInTurnAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        await TakeTurnAsync(cancellationToken);
        return await WriteOwnAsync(message);
    }

    private async ValueTask TakeTurnAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task turn;
            lock (_gate)
            {
                if (!_isTaken)
                {
                    _isTaken = true;
                    return;
                }

                turn = (_turn ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }

            await turn.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The same as <see cref="WriteOwnAsync"/> for the usual message to a stream that blocks.</summary>
    private bool WriteOwn(ReadOnlySpan<byte> message)
    {
        var line = ArrayPool<byte>.Shared.Rent(message.Length + 1);
        try
        {
            Frame(message, line);
            return WriteNow(line.AsSpan(0, message.Length + 1));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(line);
            _ = WriteWaitingAsync();
        }
    }

    /// <summary>Writes a message. Whoever calls it has the turn, and has passed it on afterwards.</summary>
    private async ValueTask<bool> WriteOwnAsync(ReadOnlyMemory<byte> message)
    {
        try
        {
            if (message.Length >= MaxCopied && message.Span.IndexOfAny(s_lineBreaks) < 0)
            {
                return await WriteBytesAsync(message) && await WriteBytesAsync(s_lineEnd);
            }

            var line = ArrayPool<byte>.Shared.Rent(message.Length + 1);
            try
            {
                Frame(message.Span, line);
                return await WriteBytesAsync(line.AsMemory(0, message.Length + 1));
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(line);
            }
        }
        finally
        {
            // Not awaited: where writes are asynchronous, who has sent a message does not wait for those of others.
            _ = WriteWaitingAsync();
        }
    }

    /// <summary>Writes what has come meanwhile, until nothing has, and gives up the turn.</summary>
    private async Task WriteWaitingAsync()
    {
        while (true)
        {
            Waiting waiting;
            lock (_gate)
            {
                if (_waiting is null)
                {
                    _isTaken = false;
                    _turn?.TrySetResult();
                    _turn = null;
                    return;
                }

                waiting = _waiting;
                _waiting = null;
            }

#pragma warning disable CA2012 // Awaited once, after a look at whether that takes its time.
            var writing = WriteBytesAsync(waiting.Bytes);
#pragma warning restore CA2012
            if (!writing.IsCompleted)
            {
                waiting.LetGiveUp();
            }

            waiting.Written(await writing);
            _spare = waiting;
        }
    }

    /// <summary>Waits with the write where the batch that is being handled may bring more. Under the lock.</summary>
    private bool TryHold()
    {
        if (!OperatingSystem.IsLinux() || _loop is not { IsCurrent: true })
        {
            return false;
        }

        _isHeld = true;
        _loop.AtBatchEnd(this);
        return true;
    }

    /// <summary>Has a message written with those that wait. Under the lock.</summary>
    private ValueTask<bool> AddWaiting(ReadOnlySpan<byte> message, CancellationToken cancellationToken)
    {
        if (_waiting is null)
        {
            _waiting = Interlocked.Exchange(ref _spare, null) ?? new();
            _waiting.Begin(canGiveUp: !_isHeld);
        }

        _waiting.Add(message);
        if (!_confirms)
        {
            return new(!_closed);
        }

        WrittenLine? line;
        lock (_lines)
        {
            line = _lines.TryPop(out line) ? line : new(_lines, isInline: _loop is not null);
        }

        var written = line.BeginAsync(cancellationToken);
        _waiting.Add(line);
        return written;
    }

    private async ValueTask<bool> WriteBytesAsync(ReadOnlyMemory<byte> bytes)
    {
        if (_isBlocking)
        {
            return WriteNow(bytes.Span);
        }

        if (_closed)
        {
            return false;
        }

        try
        {
            await _stream.WriteAsync(bytes, CancellationToken.None);
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            _closed = true;
            Broken?.Invoke();
            return false;
        }
    }

    private bool WriteNow(ReadOnlySpan<byte> bytes)
    {
        if (_closed)
        {
            return false;
        }

        try
        {
            _stream.Write(bytes);
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            _closed = true;
            Broken?.Invoke();
            return false;
        }
    }

    private static void Frame(ReadOnlySpan<byte> message, Span<byte> line)
    {
        message.CopyTo(line);
        line[message.Length] = (byte)'\n';
        var rest = line[..message.Length];
        int at;

        // Between tokens a line break is white space, and inside a string JSON has none: a space means the same.
        while ((at = rest.IndexOfAny(s_lineBreaks)) >= 0)
        {
            rest[at] = (byte)' ';
            rest = rest[(at + 1)..];
        }
    }

    /// <summary>Lines that go out together, and those who wait for that.</summary>
    private sealed class Waiting
    {
        private readonly List<WrittenLine> _lines = [];
        private byte[] _buffer = [];
        private bool _canGiveUp;

        public int Length { get; private set; }

        public ReadOnlyMemory<byte> Bytes => _buffer.AsMemory(0, Length);

        /// <summary>Begins anew.</summary>
        /// <param name="canGiveUp">Whether those who wait can give up at once; otherwise when the write takes its time.</param>
        public void Begin(bool canGiveUp)
        {
            _canGiveUp = canGiveUp;
            _buffer = ArrayPool<byte>.Shared.Rent(MaxCopied);
        }

        public void Add(ReadOnlySpan<byte> message)
        {
            Frame(message, _buffer.AsSpan(Length));
            Length += message.Length + 1;
        }

        public void Add(WrittenLine line)
        {
            _lines.Add(line);
            if (_canGiveUp)
            {
                line.LetGiveUp();
            }
        }

        public void LetGiveUp()
        {
            if (!_canGiveUp)
            {
                _lines.ForEach(static line => line.LetGiveUp());
            }
        }

        /// <summary>Tells all who wait; from then on nothing waits here.</summary>
        public void Written(bool isWritten)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
            Length = 0;
            foreach (var line in _lines)
            {
                line.Written(isWritten);
            }

            _lines.Clear();
        }
    }
}
