using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;
using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Http.Plain;

/// <summary>
/// One connection to a server, which carries one exchange at a time (RFC 9112). It has a buffer only while something is expected of
/// it, and none while an open stream is silent.
/// </summary>
internal sealed class PlainConnection : IDisposable, IValueTaskSource<PlainAnswer>
{
    private const int BufferSize = 4096;

    /// <summary>Up to here the body goes out together with the head, copied; what is longer is sent from where it is.</summary>
    private const int MaxCopied = 16 * 1024;

    /// <summary>The longest head that is compared with the next.</summary>
    private const int MaxUsualHead = 512;

    /// <summary>After so long a connection is asked whether it is still open, which costs a call of the system.</summary>
    private static readonly TimeSpan s_mayHaveEnded = TimeSpan.FromMilliseconds(1);

    private readonly Stream _stream;
    private readonly PlainPool _pool;
    private readonly TimeProvider _time;
    private readonly ResponseClock _clock;
    private readonly Action _onFirst;
    private ManualResetValueTaskSourceCore<PlainAnswer> _answer;
    private CancellationToken _cancellation;
    private byte[] _buffer = [];
    private int _start;
    private int _end;
    private ValueTask<int> _first;
    private Task _sending = Task.CompletedTask;
    private int _requestLength;
    private bool _isReceiving;
    private bool _isReused;
    private bool _isReusable;
    private bool _isOver;
    private int _disposed;

    /// <summary>The head of the last usual answer, and what was read of it: within a second a server's answers have mostly the same, which need not be read again then.</summary>
    private byte[] _usualHead = [];
    private ResponseHead _usual;

    /// <param name="stream">The connection.</param>
    /// <param name="pool">Where it goes when it is idle.</param>
    /// <param name="time">The clock of timeouts.</param>
    public PlainConnection(Stream stream, PlainPool pool, TimeProvider time)
    {
        _stream = stream;
        _pool = pool;
        _time = time;

        // The buffer is left to the exchange, which may be reading it in this moment.
        _clock = new(time, stream.Dispose);
        _onFirst = OnFirst;
        Made = time.GetTimestamp();
    }

    /// <summary>When it was made.</summary>
    public long Made { get; }

    /// <summary>When the last bytes came from the server. Its own time for idle connections runs from then, even while an answer is still held here.</summary>
    public long QuietSince { get; private set; }

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
        // As the last exchange has left it.
        _isReused = HasReceived;
        HasReceived = false;
        if (_isReused && _time.GetElapsedTime(QuietSince) >= s_mayHaveEnded && HasEnded())
        {
            return false;
        }

        _buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        _isReceiving = true;
#pragma warning disable CA2012 // Awaited once, by the exchange that this begins.
        _first = _stream.ReadAsync(_buffer, cancellationToken);
#pragma warning restore CA2012
        return !_first.IsCompleted;
    }

    /// <summary>Sends a request and reads the head of its response; <see cref="TryBegin"/> comes first.</summary>
    /// <exception cref="HttpRequestException">There is no valid response; the connection is closed.</exception>
    public ValueTask<PlainAnswer> ExchangeAsync(HttpRequestMessage request, PlainTarget target, ReadOnlyMemory<byte> body, CancellationToken cancellationToken) =>
        ExchangeAsync(request, target, null, body, cancellationToken);

    /// <summary>Sends a request that was prepared, and reads its answer, or the head of one that is out of the ordinary; <see cref="TryBegin"/> comes first.</summary>
    /// <param name="request">The request.</param>
    /// <param name="body">Its body.</param>
    /// <param name="limit">How long the response may take to begin.</param>
    /// <param name="cancellationToken">Closes the connection.</param>
    /// <exception cref="HttpRequestException">There is no valid response; the connection is closed.</exception>
    /// <exception cref="TimeoutException">The response did not begin in time; the connection is closed.</exception>
    public ValueTask<PlainAnswer> ExchangeAsync(PreparedRequest request, ReadOnlyMemory<byte> body, TimeSpan limit, CancellationToken cancellationToken)
    {
        _clock.Start(limit);
        if (body.Length > MaxCopied)
        {
            return ExchangeAsync(null, null, request, body, cancellationToken);
        }

        // The usual exchange: one write, and a response that comes whole. Nobody waits for it but who wants the answer.
        var head = RequestHead.Write(request, body.Length, body.Length);
        head.Append(body.Span);
        _isReusable = true;
        _sending = SendAsync(head, default, cancellationToken);
        _cancellation = cancellationToken;
        _answer.Reset();
        var first = _first.GetAwaiter();
        if (first.IsCompleted)
        {
            OnFirst();
        }
        else
        {
            first.UnsafeOnCompleted(_onFirst);
        }

        return new(this, _answer.Version);
    }

    PlainAnswer IValueTaskSource<PlainAnswer>.GetResult(short token)
    {
        var answer = _answer.GetResult(token);
        FinishIfOver();
        return answer;
    }

    ValueTaskSourceStatus IValueTaskSource<PlainAnswer>.GetStatus(short token) => _answer.GetStatus(token);

    void IValueTaskSource<PlainAnswer>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _answer.OnCompleted(continuation, state, token, flags);

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
    /// <exception cref="IOException">The connection broke.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<int> ReceiveAsync(Memory<byte> destination, CancellationToken cancellationToken)
    {
        GiveBuffer();
        var count = await _stream.ReadAsync(destination, cancellationToken);
        QuietSince = _time.GetTimestamp();
        return count;
    }

    /// <summary>Receives more to be <see cref="Buffered"/>. As long as nothing comes there is no buffer.</summary>
    /// <exception cref="HttpIOException">The stream is over.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask RefillAsync(CancellationToken cancellationToken)
    {
        GiveBuffer();
        _ = await _stream.ReadAsync(Memory<byte>.Empty, cancellationToken);
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
        _pool.Return(this);
    }

    /// <summary>Closes the connection. What is under way on it ends with an error.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _stream.Dispose();
            _clock.Dispose();
            if (!_isReceiving)
            {
                GiveBuffer();
            }
        }
    }

    /// <summary>Sends a request, made of one message or prepared.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<PlainAnswer> ExchangeAsync(
        HttpRequestMessage? request, PlainTarget? target, PreparedRequest? prepared, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        using var stopSending = body.Length > MaxCopied ? CancellationTokenSource.CreateLinkedTokenSource(cancellationToken) : null;
        try
        {
            // Not awaited: a server may answer before it has read all, and may not read on until its answer is read.
            var copied = body.Length <= MaxCopied ? body.Length : 0;
            var head = prepared is not null
                ? RequestHead.Write(prepared, body.Length, copied)
                : RequestHead.Write(request!, target!, request!.Content is null ? null : body.Length, copied);
            head.Append(body.Span[..copied]);
            _isReusable = !head.AsksForClose;
            _sending = SendAsync(head, body[copied..], stopSending?.Token ?? cancellationToken);
            try
            {
                Received(await _first);
            }
            finally
            {
                _isReceiving = false;
            }

            var answer = await ReceiveAnswerAsync(request, stopSending, cancellationToken);
            FinishIfOver();
            return answer;
        }
        catch (Exception e)
        {
            throw await FailedAsync(e);
        }
    }

    /// <summary>Something has come of the answer to a request that was prepared: all of it, most of the time.</summary>
    [SuppressMessage("Usage", "VSTHRD002", Justification = "It has completed")]
    private void OnFirst()
    {
        PlainAnswer answer;
        try
        {
            try
            {
                Received(_first.GetAwaiter().GetResult());
            }
            finally
            {
                _isReceiving = false;
            }

            var isUsual = _usual.HeadLength > 0 && Buffered.StartsWith(_usualHead.AsSpan(0, _usual.HeadLength));
            var length = isUsual ? _usual.HeadLength : ResponseHead.Find(Buffered, 0);
            if (length == 0 || (!isUsual && ResponseHead.StatusOf(Buffered) < 200) || !_sending.IsCompleted)
            {
                _ = ReceiveLaterAsync();
                return;
            }

            answer = Read(isUsual ? _usual : ReadHead(length), null);
        }
        catch (Exception e)
        {
            _ = FailAsync(e);
            return;
        }

        _answer.SetResult(answer);
    }

    private async Task ReceiveLaterAsync()
    {
        PlainAnswer answer;
        try
        {
            answer = await ReceiveAnswerAsync(request: null, stopSending: null, _cancellation);
        }
        catch (Exception e)
        {
            await FailAsync(e);
            return;
        }

        _answer.SetResult(answer);
    }

    private async Task FailAsync(Exception exception) => _answer.SetException(await FailedAsync(exception));

    /// <summary>Receives until there is a whole head of an answer.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<PlainAnswer> ReceiveAnswerAsync(HttpRequestMessage? request, CancellationTokenSource? stopSending, CancellationToken cancellationToken)
    {
        var scanned = 0;
        int length;
        while (true)
        {
            while ((length = ResponseHead.Find(Buffered, scanned)) == 0)
            {
                scanned = _end - _start;
                await FillAsync(cancellationToken);
            }

            if (ResponseHead.StatusOf(Buffered) is var status && status >= 200)
            {
                if (!_sending.IsCompleted)
                {
                    // Nobody waits for the rest; and its bytes are the caller's again when the response is.
                    stopSending?.Cancel();
                    await _sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }

                return Read(ResponseHead.Read(Buffered[..length], isHead: request?.Method == HttpMethod.Head), request);
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

    /// <summary>Closes the connection after an exchange that failed.</summary>
    /// <returns>What its caller hears.</returns>
    private async ValueTask<Exception> FailedAsync(Exception exception)
    {
        // A server whose end of an idle connection came before it had the request answers none, nor one that it has a part of. After a
        // reset, which is another error, nothing can be said: what is acknowledged with it is not counted.
        var isUnread = exception is HttpIOException { HttpRequestError: HttpRequestError.ResponseEnded }
            && OperatingSystem.IsLinux() && _stream is DescriptorStream stream && stream.Unacknowledged == _requestLength;
        await AbortAsync();
        var isInTime = _clock.Stop();
        return exception is OperationCanceledException ? exception
            : !isInTime ? new TimeoutException()
            : _isReused && !HasReceived && (isUnread || !_sending.IsCompletedSuccessfully)
                ? new HttpRequestException(HttpRequestError.ConnectionError, "the server closed the connection before it had the whole request")
            : exception is IOException or ObjectDisposedException
                ? new HttpRequestException((exception as HttpIOException)?.HttpRequestError ?? HttpRequestError.Unknown, "An error occurred while sending the request.", exception)
            : exception;
    }

    /// <summary>Reads the head of an answer to a request that was prepared, and keeps it where the next may be the same.</summary>
    private ResponseHead ReadHead(int length)
    {
        var bytes = Buffered[..length];
        var head = ResponseHead.Read(bytes, isHead: false);
        if (head.IsPlainJson && length <= MaxUsualHead)
        {
            if (_usualHead.Length < length)
            {
                _usualHead = new byte[length];
            }

            bytes.CopyTo(_usualHead);
            _usual = head;
        }

        return head;
    }

    /// <summary>Takes what has come behind a head.</summary>
    private PlainAnswer Read(in ResponseHead head, HttpRequestMessage? request)
    {
        if (!_clock.Stop())
        {
            throw new TimeoutException();
        }

        var bytes = _buffer.AsSpan(_start, head.HeadLength);
        Skip(head.HeadLength);
        _isReusable &= head.KeepsAlive && _sending.IsCompletedSuccessfully;
        IdleLimit = head.IdleLimit;
        if (request is null && head.IsPlainJson && head.Length == Buffered.Length)
        {
            var answer = new PlainAnswer(_buffer, _start.._end);
            _buffer = [];
            _start = _end = 0;
            _isOver = true;
            return answer;
        }

        var content = new ResponseContent { KnownLength = head.Length };
        var response = new HttpResponseMessage { RequestMessage = request, Content = content };
        head.CopyTo(bytes, response);
        if (head.Framing == BodyFraming.None)
        {
            _isOver = true;
        }
        else
        {
            content.Body = new(this, head.Framing, head.Length);
        }

        return new(response);
    }

    /// <summary>Keeps the connection for the next exchange, when whoever wants the answer has it: from then on it is another's.</summary>
    private void FinishIfOver()
    {
        if (_isOver)
        {
            _isOver = false;
            Finish();
        }
    }

    private Task SendAsync(RequestHead head, ReadOnlyMemory<byte> rest, CancellationToken cancellationToken)
    {
        _requestLength = head.Bytes.Length + rest.Length;
        var sending = rest.IsEmpty ? SendAsync(head, cancellationToken) : SendBothAsync(head, rest, cancellationToken);
        return sending.IsCompletedSuccessfully ? Task.CompletedTask : sending.AsTask();
    }

    private ValueTask SendAsync(RequestHead head, CancellationToken cancellationToken)
    {
#pragma warning disable CA2012 // Awaited once, after a look at whether that takes its time.
        ValueTask writing;
        try
        {
            writing = _stream.WriteAsync(head.Bytes, cancellationToken);
        }
        catch (Exception e)
        {
            writing = ValueTask.FromException(e);
        }
#pragma warning restore CA2012

        if (!writing.IsCompletedSuccessfully)
        {
            return SendSlowlyAsync(writing, head);
        }

        head.Dispose();
        return writing;
    }

    private static async ValueTask SendSlowlyAsync(ValueTask writing, RequestHead head)
    {
        try
        {
            await writing;
        }
        finally
        {
            head.Dispose();
        }
    }

    private async ValueTask SendBothAsync(RequestHead head, ReadOnlyMemory<byte> rest, CancellationToken cancellationToken)
    {
        await SendAsync(head, cancellationToken);
        await _stream.WriteAsync(rest, cancellationToken);
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
            Received(await _stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken));
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
        QuietSince = _time.GetTimestamp();
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

    /// <summary>Whether the server has closed the idle connection, or has said something that nobody asked for. Whoever waits for its events may not know yet.</summary>
    private bool HasEnded() =>
        OperatingSystem.IsLinux() && _stream is DescriptorStream stream ? stream.HasInput : _stream is NetworkStream { Socket: var socket } && socket.Poll(TimeSpan.Zero, SelectMode.SelectRead);

    private async ValueTask AbortAsync()
    {
        Dispose();
        if (_isReceiving)
        {
            try
            {
                await _first;
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
            {
                // That was the point: only now is nobody writing into the buffer.
            }

            _isReceiving = false;
        }

        GiveBuffer();
        await _sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
