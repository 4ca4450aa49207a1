using System.Buffers;

namespace McpProxy.Transports.Stdio;

/// <summary>
/// Writes messages as lines. What comes while a write is under way waits together and goes out with the next one.
/// </summary>
/// <param name="stream">Where to.</param>
/// <param name="isBlocking">Whether the stream has no asynchronous writes of its own: then a detour over the thread pool would gain nothing.</param>
internal sealed class StdioWriter(Stream stream, bool isBlocking)
{
    /// <summary>Up to here messages are copied, together with their line end; longer ones are written from where they are.</summary>
    private const int MaxCopied = 64 * 1024;

    private static readonly SearchValues<byte> s_lineBreaks = SearchValues.Create("\r\n"u8);
    private static readonly ReadOnlyMemory<byte> s_lineEnd = "\n"u8.ToArray();

    private readonly Lock _gate = new();
    private Waiting? _waiting;
    private TaskCompletionSource? _turn;
    private bool _isTaken;
    private volatile bool _closed;

    /// <summary>Writes one message and the line end.</summary>
    /// <returns>False when the reader is gone.</returns>
    public ValueTask<bool> WriteAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        Task<bool>? written = null;
        lock (_gate)
        {
            if (!_isTaken)
            {
                _isTaken = true;
            }
            else if (_turn is null && (_waiting?.Length ?? 0) + message.Length < MaxCopied)
            {
                written = (_waiting ??= new()).Add(message.Span);
            }
            else
            {
                return WriteInTurnAsync(message, cancellationToken);
            }
        }

        return written is not null ? new(written.WaitAsync(cancellationToken))
            : isBlocking && message.Length < MaxCopied ? new(WriteOwn(message.Span))
            : WriteOwnAsync(message);
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
                await stream.DisposeAsync();
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

            waiting.Written(await WriteBytesAsync(waiting.Lines));
        }
    }

    private async ValueTask<bool> WriteBytesAsync(ReadOnlyMemory<byte> bytes)
    {
        if (isBlocking)
        {
            return WriteNow(bytes.Span);
        }

        if (_closed)
        {
            return false;
        }

        try
        {
            await stream.WriteAsync(bytes, CancellationToken.None);
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            _closed = true;
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
            stream.Write(bytes);
            return true;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            _closed = true;
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
        private readonly TaskCompletionSource<bool> _written = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly byte[] _lines = ArrayPool<byte>.Shared.Rent(MaxCopied);

        public int Length { get; private set; }

        public ReadOnlyMemory<byte> Lines => _lines.AsMemory(0, Length);

        public Task<bool> Add(ReadOnlySpan<byte> message)
        {
            Frame(message, _lines.AsSpan(Length));
            Length += message.Length + 1;
            return _written.Task;
        }

        public void Written(bool isWritten)
        {
            ArrayPool<byte>.Shared.Return(_lines);
            _written.TrySetResult(isWritten);
        }
    }
}
