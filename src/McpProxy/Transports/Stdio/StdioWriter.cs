using System.Buffers;

namespace McpProxy.Transports.Stdio;

/// <summary>Writes messages as lines, one write each, in the order of the calls.</summary>
/// <param name="stream">Where to.</param>
/// <param name="isBlocking">Whether the stream has no asynchronous writes of its own: then a detour over the thread pool would gain nothing.</param>
internal sealed class StdioWriter(Stream stream, bool isBlocking) : IDisposable
{
    private static readonly SearchValues<byte> s_lineBreaks = SearchValues.Create("\r\n"u8);

    private readonly SemaphoreSlim _turn = new(1, 1);
    private bool _closed;

    /// <summary>Writes one message and the line end.</summary>
    /// <returns>False when the reader is gone.</returns>
    public async ValueTask<bool> WriteAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        var line = ArrayPool<byte>.Shared.Rent(message.Length + 1);
        try
        {
            Frame(message.Span, line);
            await _turn.WaitAsync(cancellationToken);

            try
            {
                if (_closed)
                {
                    return false;
                }

                if (isBlocking)
                {
                    WriteNow(line.AsSpan(0, message.Length + 1));
                }
                else
                {
                    await stream.WriteAsync(line.AsMemory(0, message.Length + 1), CancellationToken.None);
                }

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
            ArrayPool<byte>.Shared.Return(line);
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

    private void WriteNow(ReadOnlySpan<byte> line) => stream.Write(line);

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
}
