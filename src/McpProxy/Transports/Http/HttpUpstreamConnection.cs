using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using McpProxy.Collections;
using McpProxy.JsonRpc;
using McpProxy.Transports.Http.Plain;
using McpProxy.Transports.Sse;
using McpProxy.Transports.StreamableHttp;
using Microsoft.Extensions.Logging;

namespace McpProxy.Transports.Http;

/// <summary>
/// A server behind a URL. The first message shows which transport it speaks; from then on every message is an exchange of
/// its own, so that nothing waits behind a call and a cancellation overtakes what it cancels.
/// </summary>
internal sealed partial class HttpUpstreamConnection(UpstreamHttpClient http, ToolHeaderCatalog tools, ILogger logger) : IConnection
{
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_maxRetry = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_closeTimeout = TimeSpan.FromSeconds(1);

    /// <summary>How many notifications may wait for a server that does not take them.</summary>
    private const int MaxWaitingNotifications = 256;

    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SessionReplay _replay = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, Exchange> _exchanges = [];
    private readonly LinkedMembers<Exchange> _running = new();
    private readonly Stack<CancellationTokenSource> _unusedSources = [];
    private readonly SemaphoreSlim _notifications = new(MaxWaitingNotifications, MaxWaitingNotifications);
    private Task _lastBarrier = Task.CompletedTask;
    private TaskCompletionSource? _drained;
    private IMessageReceiver? _receiver;
    private volatile IHttpClientHalf? _half;
    private TaskCompletionSource? _decision;
    private int _disposed;

    public bool HasRequestStreams => _half is StreamableHttpClient;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
        return _ended.Task;
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        var cancelled = message.CancelledRequest();
        return cancelled.IsNone && message.Kind == JsonRpcMessageKind.Notification
            ? SendNotificationAsync(message, cancellationToken)
            : new(Begin(message, cancelled));
    }

    /// <summary>Requests are bounded by the relay; nothing else bounds what needs no answer.</summary>
    private async ValueTask<bool> SendNotificationAsync(JsonRpcMessage notification, CancellationToken cancellationToken)
    {
        if (_closing.IsCancellationRequested)
        {
            return false;
        }

        await _notifications.WaitAsync(cancellationToken);
        return Begin(notification, cancelled: default);
    }

    /// <summary>Begins the exchange of a message.</summary>
    /// <returns>False when the connection is closing.</returns>
    private bool Begin(in JsonRpcMessage message, JsonRpcId cancelled)
    {
        if (_closing.IsCancellationRequested)
        {
            return false;
        }

        var exchange = new Exchange(message, isPooled: ReferenceEquals(http.Options.Url.Scheme, Uri.UriSchemeHttp));
        Task earlier;
        lock (_gate)
        {
            if (_closing.IsCancellationRequested)
            {
                exchange.Dispose();
                return false;
            }

            exchange.MakeCancellable(_unusedSources.TryPop(out var unused) ? unused : new());
            _running.Add(exchange);
            earlier = _lastBarrier;
            if (cancelled.IsNone && message.Kind == JsonRpcMessageKind.Request)
            {
                _exchanges[exchange.Message.Id] = exchange;
            }
        }

        var work = !cancelled.IsNone ? CancelAsync(exchange, cancelled.Detach())
            // Answers to the server's questions wait for nothing; the rest keeps its place behind a barrier.
            : !earlier.IsCompleted && message.Kind != JsonRpcMessageKind.Response ? ExchangeAfterAsync(earlier, exchange)
            : TryExchange(exchange) ? Task.CompletedTask
            : ExchangeAsync(exchange);

        // What follows a notification must not overtake it; what follows initialize needs the session that its answer names.
        if (!work.IsCompleted && cancelled.IsNone && (message.Kind == JsonRpcMessageKind.Notification || message.Is("initialize"u8)))
        {
            lock (_gate)
            {
                _lastBarrier = work;
            }
        }

        return true;
    }

    public void EndOfInput() => http.StopWaitingForUser();

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        await _closing.CancelAsync();
        List<Exchange> running;
        var all = Task.CompletedTask;
        lock (_gate)
        {
            running = _running.ToList();
            if (running.Count > 0)
            {
                _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
                all = _drained.Task;
            }
        }

        foreach (var exchange in running)
        {
            exchange.Cancel();
        }

        // Bounded: one of them may be handing an answer to a client that does not read.
        await Task.WhenAny(all, Task.Delay(s_closeTimeout, http.Time));
        if (_half is not null)
        {
            await _half.DisposeAsync();
        }

        if (all.IsCompleted)
        {
            _notifications.Dispose();
            _closing.Dispose();
            http.Dispose();
        }
    }

    /// <summary>An exchange is over; from here on nobody uses its message.</summary>
    private void End(Exchange exchange)
    {
        lock (_gate)
        {
            if (_exchanges.Remove(exchange.Message.Id, out var known) && known != exchange)
            {
                // That was another with the same id.
                _exchanges.Add(known.Message.Id, known);
            }

            _running.Remove(exchange);
            if (exchange.TakeUnusedSource() is { } unused)
            {
                _unusedSources.Push(unused);
            }

            if (_running.IsEmpty)
            {
                _drained?.TrySetResult();
            }
        }

        exchange.Dispose();
    }

    /// <summary>Exchanges a message that has its place behind another.</summary>
    private async Task ExchangeAfterAsync(Task earlier, Exchange exchange)
    {
        await earlier.WaitAsync(exchange.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (exchange.Token.IsCancellationRequested || !TryExchange(exchange))
        {
            await ExchangeAsync(exchange);
        }
    }

    /// <summary>Exchanges the usual message, no notification, on a way that is known: it is ended where its answer comes, and nobody waits for it.</summary>
    /// <returns>False when nothing was sent: it is one for <see cref="ExchangeAsync"/>.</returns>
    [SuppressMessage("Reliability", "CA2012", Justification = "Consumed once, by whoever goes on with it")]
    private bool TryExchange(Exchange exchange)
    {
        var half = exchange.IsModern ? null : _half as StreamableHttpClient;
        StreamableHttpClient.ShortPost posted;
        try
        {
            _replay.Observe(exchange.Message);
            if (half is null || !half.TryPost(exchange.Message, out posted, exchange.Token))
            {
                return false;
            }
        }
        catch (Exception e)
        {
            _ = ExchangeAsync(exchange, Begun.Failed(e));
            return true;
        }

        var answering = posted.Answering.ConfigureAwait(false).GetAwaiter();
        if (answering.IsCompleted)
        {
            TakeAnswer(exchange, half, posted);
        }
        else
        {
            answering.OnCompleted(exchange.WhenAnswered(this, half, posted));
        }

        return true;
    }

    /// <summary>Hands on what has come for a request that went the short way; what is no mere answer takes the general one from here.</summary>
    [SuppressMessage("Usage", "VSTHRD002", Justification = "It has completed")]
    [SuppressMessage("Reliability", "CA2012", Justification = "Consumed once, by whoever goes on with it")]
    private void TakeAnswer(Exchange exchange, StreamableHttpClient half, in StreamableHttpClient.ShortPost posted)
    {
        PlainAnswer answer;
        ValueTask? taking = null;
        try
        {
            answer = posted.Answering.GetAwaiter().GetResult();
        }
        catch (Exception e)
        {
            _ = ExchangeAsync(exchange, Begun.Failed(e, half, posted));
            return;
        }

        if (answer.Response is null)
        {
            try
            {
                taking = half.TakeAsync(exchange.Message, answer, exchange.Token);
                if (taking.Value.IsCompletedSuccessfully)
                {
                    taking.Value.GetAwaiter().GetResult();
                    answer.Dispose();
                    End(exchange);
                    return;
                }
            }
            catch (Exception e)
            {
                taking = ValueTask.FromException(e);
            }
        }

        _ = ExchangeAsync(exchange, new Begun(half, posted with { Answering = new(answer) }, taking));
    }

    /// <summary>Exchanges any message that <see cref="TryExchange"/> has left, from its beginning or from where that has come.</summary>
    private async Task ExchangeAsync(Exchange exchange, Begun? begun = null)
    {
        try
        {
            if (begun is null)
            {
                exchange.Token.ThrowIfCancellationRequested();
            }

            var refusal = await (begun is not null ? TakeAsync(exchange, begun)
                : _half is { } half ? PostDecidedAsync(half, exchange.Message, exchange.Token)
                : PostUndecidedAsync(exchange.Message, exchange.Token));
            if (refusal is not null)
            {
                await RefuseAsync(exchange.Message, refusal, exchange.Token);
            }
        }
        catch (UpstreamHttpException e)
        {
            await FailAsync(exchange.Message, e);
        }
        catch (OperationCanceledException) when (exchange.Token.IsCancellationRequested)
        {
            // The client cancelled the request, or the session is closing and answers what is left.
        }
        catch (Exception e) when (!_closing.IsCancellationRequested)
        {
            // A defect of ours must not leave the client waiting.
            LogDefect(e, exchange.Message);
            await FailAsync(exchange.Message, new UpstreamHttpException("the proxy failed to pass the message on", requestWasSent: true));
        }
        finally
        {
            if (exchange.Message.Kind == JsonRpcMessageKind.Notification)
            {
                _notifications.Release();
            }

            End(exchange);
        }
    }

    /// <summary>Takes what comes, or has come, for a message that went the short way.</summary>
    private async ValueTask<HttpRefusal?> TakeAsync(Exchange exchange, Begun begun)
    {
        PlainAnswer answer;
        try
        {
            answer = await begun.Posted.Answering;
        }
        catch (HttpRequestException e) when (e.HttpRequestError == HttpRequestError.ConnectionError)
        {
            // Its connection had ended before: the general way makes another.
            return await PostDecidedAsync(begun.Half, exchange.Message, exchange.Token);
        }
        catch (Exception e) when (UpstreamHttpClient.IsExplicable(e, exchange.Token))
        {
            throw http.Explained(e, begun.Posted.Timeout);
        }

        using (answer)
        {
            if (answer.Response is null)
            {
                await (begun.Taking ?? begun.Half.TakeAsync(exchange.Message, answer, exchange.Token));
                return null;
            }

#pragma warning disable CA2012 // Awaited once, where it may be followed by another attempt.
            return await PostDecidedAsync(begun.Half, exchange.Message, exchange.Token, begun.Half.TakeResponseAsync(exchange.Message, begun.Posted, answer.Response, exchange.Token));
#pragma warning restore CA2012
        }
    }

    /// <summary>
    /// Cancels a request: a modern one by closing its response stream (MCP 2026-07-28, "Cancellation"), a legacy one by
    /// passing the notification on, without waiting for anything sent before it.
    /// </summary>
    private async Task CancelAsync(Exchange cancelling, JsonRpcId requestId)
    {
        try
        {
            Exchange? exchange;
            lock (_gate)
            {
                exchange = _exchanges.GetValueOrDefault(requestId);
            }

            if (_half is not null && exchange is not { IsModern: true })
            {
                try
                {
                    await _half.PostAsync(cancelling.Message, cancelling.Token);
                }
                catch (Exception e) when (e is UpstreamHttpException or OperationCanceledException)
                {
                    LogNotDelivered(LogLevel.Warning, cancelling.Message, e.Message);
                }
            }

            // A server does not answer what was cancelled, so its stream would stay open for nothing.
            exchange?.Cancel();
        }
        finally
        {
            End(cancelling);
        }
    }

    /// <summary>Sends a message again, with growing pauses, to a server that could not be reached and so has not seen it.</summary>
    /// <param name="half">The transport.</param>
    /// <param name="message">The message.</param>
    /// <param name="started">When it was sent first.</param>
    /// <param name="cancellationToken">Gives up.</param>
    private async ValueTask<HttpRefusal?> PostAgainAsync(IHttpClientHalf half, JsonRpcMessage message, long started, CancellationToken cancellationToken)
    {
        await Task.Delay(s_firstRetry, http.Time, cancellationToken);
        return await RetryingAsync(() => half.PostAsync(message, cancellationToken), retryTemporary: false, cancellationToken, started, s_firstRetry * 2);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<HttpRefusal?> PostDecidedAsync(IHttpClientHalf half, JsonRpcMessage message, CancellationToken cancellationToken, ValueTask<HttpRefusal?>? first = null)
    {
        var started = http.Time.GetTimestamp();
        try
        {
            return await (first ?? half.PostAsync(message, cancellationToken));
        }
        catch (UpstreamHttpException e) when (!e.RequestWasSent && http.Options.ConnectTimeout > s_firstRetry)
        {
            LogRetrying(e.Message);
        }

        return await PostAgainAsync(half, message, started, cancellationToken);
    }

    /// <summary>Sends a message before it is known which transport the server speaks.</summary>
    private async ValueTask<HttpRefusal?> PostUndecidedAsync(JsonRpcMessage message, CancellationToken cancellationToken)
    {
        var decision = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        while (Interlocked.CompareExchange(ref _decision, decision, null) is { } othersDecision)
        {
            await othersDecision.Task.WaitAsync(cancellationToken);
            if (_half is { } half)
            {
                return await PostDecidedAsync(half, message, cancellationToken);
            }
        }

        try
        {
            return await PostFirstAsync(message, cancellationToken);
        }
        finally
        {
            _decision = null;
            decision.TrySetResult();
        }
    }

    /// <summary>Sends the message with which the choice of a transport falls.</summary>
    private async Task<HttpRefusal?> PostFirstAsync(JsonRpcMessage message, CancellationToken cancellationToken)
    {
        try
        {
            return http.Options.Transport switch
            {
                HttpTransportChoice.StreamableHttpOnly => await TryStreamableAsync(message, cancellationToken),
                HttpTransportChoice.SseOnly => await TrySseAsync(message, cancellationToken),
                HttpTransportChoice.SseFirst => await TryBothAsync(TrySseAsync, TryStreamableAsync, message, cancellationToken),
                _ => await TryBothAsync(TryStreamableAsync, TrySseAsync, message, cancellationToken),
            };
        }
        catch (UpstreamHttpException e) when (_half is null && e is not SignInException)
        {
            await FailAsync(message, e);
            _ended.TrySetResult(new(ConnectionEndReason.ConnectFailed, e.Message));
            return null;
        }
    }

    private async Task<HttpRefusal?> TryBothAsync(
        Func<JsonRpcMessage, CancellationToken, Task<HttpRefusal?>> first,
        Func<JsonRpcMessage, CancellationToken, Task<HttpRefusal?>> second,
        JsonRpcMessage message,
        CancellationToken cancellationToken)
    {
        var refusal = await first(message, cancellationToken);
        if (refusal is null or { SuggestsOtherTransport: false } || _half is not null)
        {
            return refusal;
        }

        LogFallingBack(refusal.Text);
        try
        {
            var other = await second(message, cancellationToken);

            // When neither works, the first error is the one that speaks of what the user asked for.
            return other is null || _half is not null ? other : refusal;
        }
        catch (UpstreamHttpException e) when (_half is null && e is not SignInException)
        {
            LogFallbackFailed(e.Message);
            return refusal;
        }
    }

    private async Task<HttpRefusal?> TryStreamableAsync(JsonRpcMessage message, CancellationToken cancellationToken)
    {
        // In use as soon as the server accepts the message: the answer may take its time, and others must not wait for it.
        StreamableHttpClient? half = null;
        half = new StreamableHttpClient(http, tools, _receiver!, _replay, logger) { Accepted = () => Use(half!) };
        try
        {
            return await RetryingAsync(() => PostWatchedAsync(half, message, cancellationToken), retryTemporary: true, cancellationToken);
        }
        finally
        {
            if (_half != half)
            {
                await half.DisposeAsync();
            }
        }
    }

    /// <summary>
    /// A server that answers in JSON shows no sign of life before it is done. One that does not speak the transport refuses at
    /// once, so that after a while the others need not wait any longer.
    /// </summary>
    private async ValueTask<HttpRefusal?> PostWatchedAsync(StreamableHttpClient half, JsonRpcMessage message, CancellationToken cancellationToken)
    {
        var posting = half.PostAsync(message, cancellationToken).AsTask();
        do
        {
            await Task.WhenAny(posting, Task.Delay(s_silence, http.Time, cancellationToken));
        }
        while (!posting.IsCompleted && http.IsWaitingForCredentials && !cancellationToken.IsCancellationRequested);

        if (!posting.IsCompleted && !cancellationToken.IsCancellationRequested)
        {
            Use(half);
        }

        return await posting;
    }

    private async Task<HttpRefusal?> TrySseAsync(JsonRpcMessage message, CancellationToken cancellationToken)
    {
        var half = new SseClient(http, _receiver!, _replay, logger);
        HttpRefusal? refusal;
        try
        {
            refusal = await RetryingAsync(() => new(half.ConnectAsync(RequestOccasions.Of(message), cancellationToken)), retryTemporary: true, cancellationToken);
        }
        catch
        {
            await half.DisposeAsync();
            throw;
        }

        if (refusal is not null)
        {
            await half.DisposeAsync();
            return refusal;
        }

        Use(half);
        return await half.PostAsync(message, cancellationToken);
    }

    private void Use(IHttpClientHalf half)
    {
        _half = half;
        _decision?.TrySetResult();
    }

    /// <summary>Tries again, with growing pauses, while the server cannot be reached and so has seen nothing.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<HttpRefusal?> RetryingAsync(
        Func<ValueTask<HttpRefusal?>> attempt, bool retryTemporary, CancellationToken cancellationToken, long? since = null, TimeSpan? firstWait = null)
    {
        var started = since ?? http.Time.GetTimestamp();
        for (var wait = firstWait ?? s_firstRetry; ; wait = wait * 2 < s_maxRetry ? wait * 2 : s_maxRetry)
        {
            var left = http.Options.ConnectTimeout - http.Time.GetElapsedTime(started);
            try
            {
                var refusal = await attempt();
                if (!retryTemporary || refusal is not { IsTemporary: true } || left <= wait)
                {
                    return refusal;
                }

                LogRetrying(refusal.Text);
            }
            catch (UpstreamHttpException e) when (!e.RequestWasSent && left > wait)
            {
                LogRetrying(e.Message);
            }

            await Task.Delay(wait, http.Time, cancellationToken);
        }
    }

    private async Task RefuseAsync(JsonRpcMessage message, HttpRefusal refusal, CancellationToken cancellationToken)
    {
        LogRefused(message, refusal.Text);
        if (message.Kind == JsonRpcMessageKind.Request)
        {
            await _receiver!.ReceiveAsync(refusal.AnswerFor(message.Id), message.Id, cancellationToken);
        }
    }

    private async Task FailAsync(JsonRpcMessage message, UpstreamHttpException exception)
    {
        // A sign-in is announced where it begins; this is no news then.
        LogNotDelivered(exception is SignInException { Url: not null } ? LogLevel.Debug : LogLevel.Warning, message, exception.Message);
        if (message.Kind == JsonRpcMessageKind.Request)
        {
            var answer = exception is SignInException signIn ? signIn.AnswerFor(message.Id) : JsonRpcWriter.Error(message.Id, JsonRpcErrorCode.UpstreamUnavailable, exception.Message);
            await _receiver!.ReceiveAsync(answer, message.Id, _closing.Token);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Falling back to the other HTTP transport: {Reason}")]
    private partial void LogFallingBack(string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The other HTTP transport does not work either: {Reason}")]
    private partial void LogFallbackFailed(string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Trying again: {Reason}")]
    private partial void LogRetrying(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Message} was refused: {Reason}")]
    private partial void LogRefused(JsonRpcMessage message, string reason);

    [LoggerMessage(Message = "{Message} was not delivered: {Reason}")]
    private partial void LogNotDelivered(LogLevel level, JsonRpcMessage message, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while passing on {Message}")]
    private partial void LogDefect(Exception exception, JsonRpcMessage message);

    /// <summary>An exchange that went the short way, or failed on it.</summary>
    /// <param name="Half">Who has posted its message; null where nobody has.</param>
    /// <param name="Posted">Its answer, which has come or is to come.</param>
    /// <param name="Taking">The handing on of the answer, where it was begun.</param>
    private sealed record Begun(StreamableHttpClient Half, StreamableHttpClient.ShortPost Posted, ValueTask? Taking)
    {
        /// <summary>One that has failed, perhaps before it was posted.</summary>
        [SuppressMessage("Reliability", "CA2012", Justification = "Consumed once, by whoever takes the answer")]
        public static Begun Failed(Exception e, StreamableHttpClient? half = null, in StreamableHttpClient.ShortPost posted = default) =>
            new(half!, posted with { Answering = ValueTask.FromException<PlainAnswer>(e) }, null);
    }

    /// <summary>A message under way, and its cancellation.</summary>
    private sealed class Exchange : Linked<Exchange>, IDisposable
    {
        private readonly byte[] _buffer;
        private readonly bool _isPooled;
        private CancellationTokenSource? _source;
        private int _isDecided;
        private HttpUpstreamConnection? _connection;
        private StreamableHttpClient? _half;
        private StreamableHttpClient.ShortPost _posted;

        /// <param name="message">The message, which is copied.</param>
        /// <param name="isPooled">Whether nobody reads the bytes when the exchange is over. HTTP/2 does, where an answer comes before all was sent.</param>
        public Exchange(in JsonRpcMessage message, bool isPooled)
        {
            _isPooled = isPooled;
            _buffer = isPooled ? ArrayPool<byte>.Shared.Rent(message.Utf8.Length) : new byte[message.Utf8.Length];
            Message = message.DetachInto(_buffer);
            IsModern = Message.IsModern();
        }

        /// <summary>The message; its bytes are valid until this is disposed of.</summary>
        /// <remarks>A field: a property would copy it each time.</remarks>
        public readonly JsonRpcMessage Message;

        public bool IsModern { get; }

        public CancellationToken Token => _source!.Token;

        /// <summary>Gives it what it can be cancelled with.</summary>
        public void MakeCancellable(CancellationTokenSource source) => _source = source;

        /// <summary>Takes that back at the end, where it is as good as new: where nobody has cancelled it, nor is about to.</summary>
        public CancellationTokenSource? TakeUnusedSource()
        {
            if (Interlocked.Exchange(ref _isDecided, 1) != 0 || !_isPooled || !_source!.TryReset())
            {
                return null;
            }

            var unused = _source;
            _source = null;
            return unused;
        }

        /// <summary>What is to be called when the answer has come, once: <see cref="TakeAnswer"/>.</summary>
        public Action WhenAnswered(HttpUpstreamConnection connection, StreamableHttpClient half, in StreamableHttpClient.ShortPost posted)
        {
            (_connection, _half, _posted) = (connection, half, posted);
            return TakeAnswer;
        }

        private void TakeAnswer() => _connection!.TakeAnswer(this, _half!, _posted);

        public void Cancel()
        {
            if (Interlocked.Exchange(ref _isDecided, 1) != 0)
            {
                return;
            }

            try
            {
                _source!.Cancel();
            }
            catch (ObjectDisposedException)
            {
                // It has ended meanwhile.
            }
        }

        public void Dispose()
        {
            _source?.Dispose();
            if (_isPooled)
            {
                ArrayPool<byte>.Shared.Return(_buffer);
            }
        }
    }
}
