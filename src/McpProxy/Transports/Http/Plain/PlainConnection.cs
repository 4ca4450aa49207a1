using System.Buffers;
using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace McpProxy.Transports.Http.Plain;

/// <summary>
/// One connection to a server, which carries one exchange at a time (RFC 9112). It has a buffer only while something is expected of
/// it, and none while an open stream is silent.
/// </summary>
internal sealed class PlainConnection(Socket socket, PlainPool pool, long now) : IDisposable
{
    private const int BufferSize = 4096;

    /// <summary>Up to here the body goes out together with the head, copied; what is longer is sent from where it is.</summary>
    private const int MaxCopied = 16 * 1024;

    private byte[] _buffer = [];
    private int _start;
    private int _end;
    private ValueTask<int> _first;
    private Task _sending = Task.CompletedTask;
    private bool _isReceiving;
    private bool _isReusable;
    private int _disposed;

    /// <summary>When it was made.</summary>
    public long Made => now;

    /// <summary>Since when it has been idle.</summary>
    public long IdleSince { get; set; }

    /// <summary>How long the server keeps it while it is idle, where it says so.</summary>
    public TimeSpan? IdleLimit { get; private set; }

    /// <summary>Whether anything of the response has come.</summary>
    public bool HasReceived { get; private set; }

    /// <summary>What was received and not yet taken.</summary>
    public ReadOnlySpan<byte> Buffered => _buffer.AsSpan(_start, _end - _start);

    /// <summary>Begins to receive, before the request is sent: so it shows whether the server has closed the connection meanwhile.</summary>
    /// <returns>Whether nothing has come, as it must be.</returns>
    public bool TryBegin(CancellationToken cancellationToken)
    {
        HasReceived = false;
        _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        _isReceiving = true;
#pragma warning disable CA2012 // Awaited once, by the exchange that this begins.
        _first = socket.ReceiveAsync(_buffer.AsMemory(), SocketFlags.None, cancellationToken);
#pragma warning restore CA2012
        return !_first.IsCompleted;
    }

    /// <summary>Sends a request and reads the head of its response; <see cref="TryBegin"/> comes first.</summary>
    /// <exception cref="HttpRequestException">There is no valid response; the connection is closed.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<HttpResponseMessage> ExchangeAsync(HttpRequestMessage request, PlainTarget target, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        using var stopSending = body.Length > MaxCopied ? CancellationTokenSource.CreateLinkedTokenSource(cancellationToken) : null;
        try
        {
            // Not awaited: a server may answer before it has read all, and may not read on until its answer is read.
            var copied = body.Length <= MaxCopied ? body.Length : 0;
            var head = RequestHead.Write(request, target, request.Content is null ? null : body.Length, copied);
            head.Append(body.Span[..copied]);
            _isReusable = !head.AsksForClose;
            _sending = SendAsync(head, body[copied..], stopSending?.Token ?? cancellationToken).AsTask();
            try
            {
                Received(await _first);
            }
            finally
            {
                _isReceiving = false;
            }

            var scanned = 0;
            int length;
            while (true)
            {
                while ((length = ResponseHead.Find(Buffered, scanned)) == 0)
                {
                    scanned = _end - _start;
                    await FillAsync(cancellationToken);
                }

                if (ResponseHead.Status(Buffered) is var status && status >= 200)
                {
                    if (!_sending.IsCompleted)
                    {
                        // Nobody waits for the rest; and its bytes are the caller's again when the response is.
                        stopSending?.Cancel();
                        await _sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    }

                    return Read(length, request);
                }

                if (status == 101)
                {
                    throw ResponseHead.Invalid("it switches to a protocol that nobody asked for");
                }

                // Something before the answer, which nobody asked for (RFC 9110, section 15.2).
                _start += length;
                scanned = 0;
                if (_start == _end)
                {
                    await FillAsync(cancellationToken);
                }
            }
        }
        catch (Exception e)
        {
            await AbortAsync();
            if (e is SocketException or ObjectDisposedException or HttpIOException)
            {
                throw new HttpRequestException((e as HttpIOException)?.HttpRequestError ?? HttpRequestError.Unknown, "An error occurred while sending the request.", e);
            }

            throw;
        }
    }

    /// <summary>Takes bytes that were received.</summary>
    public int Take(Span<byte> destination)
    {
        var count = Math.Min(destination.Length, _end - _start);
        _buffer.AsSpan(_start, count).CopyTo(destination);
        Skip(count);
        return count;
    }

    /// <summary>Passes over bytes that were received.</summary>
    public void Skip(int count) => _start += count;

    /// <summary>Receives into a buffer of the caller's. Nothing is <see cref="Buffered"/> then.</summary>
    /// <returns>Zero at the end of the stream.</returns>
    /// <exception cref="SocketException">The connection broke.</exception>
    public ValueTask<int> ReceiveAsync(Memory<byte> destination, CancellationToken cancellationToken)
    {
        GiveBuffer();
        return socket.ReceiveAsync(destination, SocketFlags.None, cancellationToken);
    }

    /// <summary>Receives more to be <see cref="Buffered"/>. As long as nothing comes there is no buffer.</summary>
    /// <exception cref="HttpIOException">The stream is over.</exception>
    /// <exception cref="SocketException">The connection broke.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask RefillAsync(CancellationToken cancellationToken)
    {
        GiveBuffer();
        await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken);
        await FillAsync(cancellationToken);
    }

    /// <summary>Says that the response is over: the connection is kept where it can be.</summary>
    public void Finish()
    {
        if (!_isReusable || _start != _end || !_sending.IsCompletedSuccessfully)
        {
            Dispose();
            return;
        }

        GiveBuffer();
        pool.Return(this);
    }

    /// <summary>Closes the connection. What is under way on it ends with an error.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            socket.Dispose();
            if (!_isReceiving)
            {
                GiveBuffer();
            }
        }
    }

    private HttpResponseMessage Read(int length, HttpRequestMessage request)
    {
        var content = new ResponseContent();
        var response = new HttpResponseMessage { RequestMessage = request, Content = content };
        try
        {
            var head = ResponseHead.Read(_buffer.AsSpan(_start, length), request, response);
            Skip(length);
            _isReusable &= head.KeepsAlive && _sending.IsCompletedSuccessfully;
            IdleLimit = head.IdleLimit;
            content.KnownLength = head.Length;
            if (head.Framing == BodyFraming.None)
            {
                Finish();
            }
            else
            {
                content.Body = new(this, head.Framing, head.Length);
            }

            return response;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendAsync(RequestHead head, ReadOnlyMemory<byte> rest, CancellationToken cancellationToken)
    {
        try
        {
            await SendAsync(head.Buffer.AsMemory(0, head.Length), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(head.Buffer);
        }

        await SendAsync(rest, cancellationToken);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None, cancellationToken)..];
        }
    }

    private async ValueTask FillAsync(CancellationToken cancellationToken)
    {
        if (_buffer.Length == 0)
        {
            _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        }
        else if (_end == _buffer.Length)
        {
            MakeRoom();
        }

        _isReceiving = true;
        try
        {
            Received(await socket.ReceiveAsync(_buffer.AsMemory(_end), SocketFlags.None, cancellationToken));
        }
        finally
        {
            _isReceiving = false;
        }
    }

    private void Received(int count)
    {
        if (count == 0)
        {
            throw Ended();
        }

        HasReceived = true;
        _end += count;
    }

    /// <summary>The error for a response that ends too early.</summary>
    public static HttpIOException Ended() => new(HttpRequestError.ResponseEnded, "The response ended prematurely.");

    private void MakeRoom()
    {
        var count = _end - _start;
        var larger = _start > 0 ? _buffer : ArrayPool<byte>.Shared.Rent(_buffer.Length * 2);
        _buffer.AsSpan(_start, count).CopyTo(larger);
        if (larger != _buffer)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }

        (_start, _end) = (0, count);
    }

    private void GiveBuffer()
    {
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
        }

        _start = _end = 0;
    }

    private async ValueTask AbortAsync()
    {
        Dispose();
        if (_isReceiving)
        {
            try
            {
                await _first;
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
            {
                // That was the point: only now is nobody writing into the buffer.
            }

            _isReceiving = false;
        }

        GiveBuffer();
        await _sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
