using System.IO.Pipelines;
using System.Runtime.Versioning;
using McpProxy.Buffers;
using McpProxy.Transports.Polling;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>
/// Writes one response after the other (RFC 9112, sections 4 to 7): with its length where it is known beforehand, in chunks where it is not. What is small goes
/// out together with its head.
/// </summary>
/// <param name="stream">The connection.</param>
/// <param name="date">The date of now, as it stands in a response.</param>
[SupportedOSPlatform("linux")]
internal sealed class ResponseWriter(DescriptorStream stream, Func<ReadOnlyMemory<byte>> date) : PipeWriter
{
    private const int HeadSize = 512;

    /// <summary>What is larger is not copied behind what stands before it.</summary>
    private const int MostCopied = 8 * 1024;

    private const int ChunkFrame = 12;

    /// <summary>As much as is taken at first for what is written piece by piece.</summary>
    private const int FirstUnsent = 4 * 1024;

    private PooledBytes _unsent;
    private bool _hasUnsent;
    private long _sent;
    private bool _isChunked;
    private bool _isEnded;
    private int _lastStatus;
    private (string Name, string Value, int At)[] _lastFields = [];
    private byte[] _lastHead = [];

    /// <summary>The status of the response that is being made.</summary>
    public int Status { get; set; } = 200;

    /// <summary>Its headers.</summary>
    public HeaderList Headers { get; } = new();

    /// <summary>Whether its head is on its way.</summary>
    public bool HasStarted { get; private set; }

    /// <summary>Whether nobody is there any more to take anything.</summary>
    public bool IsGone { get; private set; }

    /// <summary>Whether the connection ends with this response.</summary>
    public bool ClosesConnection { get; set; }

    /// <inheritdoc/>
    public override bool CanGetUnflushedBytes => true;

    /// <inheritdoc/>
    public override long UnflushedBytes => Unsent.Length;

    private bool HasNoBody => Status is 204 or 304;

    private ReadOnlyMemory<byte> Unsent => _hasUnsent ? _unsent.Memory : default;

    /// <summary>Makes room for the next response.</summary>
    public void Reset()
    {
        (Status, _sent, _isChunked, _isEnded, HasStarted) = (200, 0, false, false, false);
        Headers.Clear();
        DropUnsent();
    }

    /// <inheritdoc/>
    public override void Advance(int bytes) => _unsent.Advance(bytes);

    /// <inheritdoc/>
    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (!_hasUnsent)
        {
            _hasUnsent = true;
            _unsent = new(Math.Max(FirstUnsent, sizeHint));
        }

        return _unsent.Room(Math.Max(1, sizeHint));
    }

    /// <inheritdoc/>
    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    /// <inheritdoc/>
    public override void CancelPendingFlush()
    {
        // Who writes waits for the client, and for nobody else.
    }

    /// <inheritdoc/>
    public override void Complete(Exception? exception = null)
    {
        // The response ends with its request.
    }

    /// <summary>Sends what was written. With nothing written yet, the head alone.</summary>
    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
        _hasUnsent || !HasStarted ? Flushed(SendAsync(Unsent, isEnd: false)) : new(new FlushResult(false, IsGone));

    /// <inheritdoc/>
    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        if (!_hasUnsent)
        {
            return Flushed(SendAsync(source, isEnd: false));
        }

        _unsent.Append(source.Span);
        return FlushAsync(cancellationToken);
    }

    /// <summary>Sends the rest of the response.</summary>
    /// <exception cref="InvalidOperationException">There is less of it than its length says.</exception>
    public ValueTask EndAsync()
    {
        if (_isEnded || IsGone)
        {
            return ValueTask.CompletedTask;
        }

        _isEnded = true;
        if (!HasStarted && !HasNoBody)
        {
            Headers.ContentLength ??= Unsent.Length;
        }

        if (!_isChunked && !HasNoBody && _sent + Unsent.Length != Headers.ContentLength)
        {
            throw new InvalidOperationException($"the response has {_sent + Unsent.Length} bytes, and is to have {Headers.ContentLength}");
        }

        return HasStarted && !_hasUnsent && !_isChunked ? ValueTask.CompletedTask : SendAsync(Unsent, isEnd: true);
    }

    private ValueTask<FlushResult> Flushed(ValueTask sending) => sending.IsCompletedSuccessfully ? new(new FlushResult(false, IsGone)) : FlushedAsync(sending);

    private async ValueTask<FlushResult> FlushedAsync(ValueTask sending)
    {
        await sending;
        return new(false, IsGone);
    }

    private ValueTask SendAsync(ReadOnlyMemory<byte> data, bool isEnd)
    {
        if (IsGone)
        {
            DropUnsent();
            return ValueTask.CompletedTask;
        }

        var frame = new PooledBytes(HeadSize + ChunkFrame + Math.Min(data.Length, MostCopied));
        if (!HasStarted)
        {
            try
            {
                WriteHead(ref frame);
            }
            catch
            {
                frame.Dispose();
                throw;
            }

            HasStarted = true;
        }

        if (!_isChunked && _sent + data.Length > (Headers.ContentLength ?? 0))
        {
            frame.Dispose();
            throw new InvalidOperationException($"the response has more bytes than the {Headers.ContentLength} that it is to have");
        }

        _sent += data.Length;
        if (_isChunked && data.Length > 0)
        {
            frame.AppendHex(data.Length);
            frame.Append("\r\n"u8);
        }

        if (data.Length > MostCopied)
        {
            return SendLargeAsync(frame, data, isEnd);
        }

        frame.Append(data.Span);
        DropUnsent();
        AppendEnd(ref frame, data.Length, isEnd);
        return SendAsync(frame);
    }

    private void AppendEnd(ref PooledBytes frame, int dataLength, bool isEnd)
    {
        if (_isChunked && dataLength > 0)
        {
            frame.Append("\r\n"u8);
        }

        if (_isChunked && isEnd)
        {
            frame.Append("0\r\n\r\n"u8);
        }
    }

    private ValueTask SendAsync(PooledBytes frame)
    {
        var writing = stream.WriteAsync(frame.Memory);
        if (!writing.IsCompletedSuccessfully)
        {
            return SendSlowlyAsync(writing, frame);
        }

        frame.Dispose();
        return ValueTask.CompletedTask;
    }

    private async ValueTask SendSlowlyAsync(ValueTask writing, PooledBytes frame)
    {
        try
        {
            await writing;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The connection tells the request.
            IsGone = true;
        }
        finally
        {
            frame.Dispose();
        }
    }

    private async ValueTask SendLargeAsync(PooledBytes frame, ReadOnlyMemory<byte> data, bool isEnd)
    {
        try
        {
            if (frame.Length > 0)
            {
                await stream.WriteAsync(frame.Memory);
                frame.Clear();
            }

            await stream.WriteAsync(data);
            AppendEnd(ref frame, data.Length, isEnd);
            if (frame.Length > 0)
            {
                await stream.WriteAsync(frame.Memory);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            IsGone = true;
        }
        finally
        {
            frame.Dispose();
            DropUnsent();
        }
    }

    private void DropUnsent()
    {
        if (_hasUnsent)
        {
            _hasUnsent = false;
            _unsent.Dispose();
        }
    }

    private void WriteHead(ref PooledBytes head)
    {
        _isChunked = Headers.ContentLength is null && !HasNoBody;
        ClosesConnection |= string.Equals(Headers[HeaderNames.Connection].ToString(), "close", StringComparison.OrdinalIgnoreCase);
        if (ClosesConnection)
        {
            Headers[HeaderNames.Connection] = "close";
        }

        if (!TryRepeatHead(ref head))
        {
            WriteFields(ref head);
        }

        if (_isChunked)
        {
            head.Append("Transfer-Encoding: chunked\r\nDate: "u8);
        }
        else if (HasNoBody)
        {
            head.Append("Date: "u8);
        }
        else
        {
            head.Append("Content-Length: "u8);
            head.Append(Headers.ContentLength!.Value);
            head.Append("\r\nDate: "u8);
        }

        head.Append(date().Span);
        head.Append("\r\n\r\n"u8);
    }

    /// <summary>
    /// Writes a head like the one before: those of a client's responses hardly differ but for their length and date, and with many sessions in a value that is as long as
    /// the other.
    /// </summary>
    private bool TryRepeatHead(ref PooledBytes head)
    {
        if (Status != _lastStatus || Headers.TextCount != _lastFields.Length || _lastHead.Length == 0)
        {
            return false;
        }

        head.Append(_lastHead);
        for (var i = 0; i < _lastFields.Length; i++)
        {
            ref readonly var last = ref _lastFields[i];
            var (name, values) = Headers.At(i);
            var value = values.Count == 1 ? values.ToString() : "";
            if (!ReferenceEquals(last.Name, name) || value.Length != last.Value.Length || (!ReferenceEquals(last.Value, value) && !head.TryReplace(last.At, value)))
            {
                head.Clear();
                return false;
            }
        }

        return true;
    }

    private void WriteFields(ref PooledBytes head)
    {
        if (Status == 200)
        {
            head.Append("HTTP/1.1 200 OK\r\n"u8);
        }
        else
        {
            head.Append("HTTP/1.1 "u8);
            head.Append(Status);
            head.Append(" "u8);
            Append(ref head, ReasonPhrases.GetReasonPhrase(Status));
            head.Append("\r\n"u8);
        }

        (_lastStatus, _lastHead) = (Status, []);
        if (_lastFields.Length != Headers.TextCount)
        {
            _lastFields = new (string, string, int)[Headers.TextCount];
        }

        var canRepeat = true;
        for (var i = 0; i < Headers.TextCount; i++)
        {
            var (name, values) = Headers.At(i);
            canRepeat &= values.Count == 1;
            foreach (var value in values)
            {
                Append(ref head, name);
                head.Append(": "u8);
                _lastFields[i] = (name, value ?? "", head.Length);
                Append(ref head, value ?? "");
                head.Append("\r\n"u8);
            }
        }

        _lastHead = canRepeat ? head.Memory.ToArray() : [];
    }

    private static void Append(ref PooledBytes head, string text)
    {
        if (!head.TryAppend(text))
        {
            throw new InvalidOperationException("a header of a response must have ASCII characters only, and no line break");
        }
    }
}
