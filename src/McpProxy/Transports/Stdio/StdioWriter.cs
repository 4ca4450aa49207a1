using System.Buffers;

namespace McpProxy.Transports.Stdio;

/// <summary>Writes messages as lines, one write each unless they are large, in the order of the calls.</summary>
/// <param name="stream">Where to.</param>
/// <param name="isBlocking">Whether the stream has no asynchronous writes of its own: then a detour over the thread pool would gain nothing.</param>
internal sealed class StdioWriter(Stream stream, bool isBlocking) : IDisposable
{
    /// <summary>What is written at once of a large message: no more fits a pipe.</summary>
    private const int Slice = 64 * 1024 - 1;

    private readonly SemaphoreSlim _turn = new(1, 1);
    private bool _closed;

    /// <summary>Writes one message and the line end.</summary>
    /// <returns>False when the reader is gone.</returns>
    public async ValueTask<bool> WriteAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        var last = ArrayPool<byte>.Shared.Rent(Math.Min(message.Length, Slice) + 1);
        try
        {
            await _turn.WaitAsync(cancellationToken);
            try
            {
                if (_closed)
                {
                    return false;
                }

                // What comes before the last slice goes out from where it is, unless something in it has to be replaced.
                for (; message.Length > Slice; message = message[Slice..])
                {
                    var slice = message[..Slice];
                    if (slice.Span.ContainsAny((byte)'\r', (byte)'\n'))
                    {
                        CopyOnOneLine(slice.Span, last);
                        slice = last.AsMemory(0, Slice);
                    }

                    await WriteNowAsync(slice);
                }

                CopyOnOneLine(message.Span, last);
                last[message.Length] = (byte)'\n';
                await WriteNowAsync(last.AsMemory(0, message.Length + 1));
                return true;
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                _closed = true;
                return false;
            }
            finally
            {
                _turn.Release();
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(last);
        }
    }

    /// <summary>Closes the stream after the write under way, so that the reader sees the end of input.</summary>
    public async ValueTask CloseAsync(CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
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
            _turn.Release();
        }
    }

    public void Dispose() => _turn.Dispose();

    /// <summary>Writes to the end: nobody could read what followed half a line.</summary>
    private ValueTask WriteNowAsync(ReadOnlyMemory<byte> bytes)
    {
        if (!isBlocking)
        {
            return stream.WriteAsync(bytes, CancellationToken.None);
        }

        stream.Write(bytes.Span);
        return ValueTask.CompletedTask;
    }

    private static void CopyOnOneLine(ReadOnlySpan<byte> text, Span<byte> line)
    {
        text.CopyTo(line);
        var rest = line[..text.Length];
        int at;

        // Between tokens a line break is white space, and inside a string JSON has none: a space means the same.
        while ((at = rest.IndexOfAny((byte)'\r', (byte)'\n')) >= 0)
        {
            rest[at] = (byte)' ';
            rest = rest[(at + 1)..];
        }
    }
}
