using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports.Http;
using McpProxy.Transports.Http.Plain;
using Microsoft.Extensions.Logging;

namespace McpProxy.Transports.StreamableHttp;

/// <summary>
/// The client half of Streamable HTTP, all revisions: each message is a POST; answers come as JSON or as an event stream;
/// a legacy session also has a GET stream, and is opened anew when the server has lost it.
/// </summary>
internal sealed partial class StreamableHttpClient(UpstreamHttpClient http, ToolHeaderCatalog tools, IMessageReceiver receiver, SessionReplay replay, ILogger logger) : IHttpClientHalf
{
    private const int MaxResumeAttempts = 5;
    private const string NoResponse = "the server's answer has no response to the request";

    /// <summary>How long a server may keep a response stream open after the answer, before it is closed for it.</summary>
    private static readonly TimeSpan s_linger = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_closeTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_defaultRetry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_maxRetry = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _closing = new();
    private volatile Session _session = new(null, null);
    private volatile Task<bool>? _reinitializing;
    private Task _listening = Task.CompletedTask;
    private CancellationTokenSource? _stopListening;

    /// <summary>Called when the server accepts a message, before its answer is read.</summary>
    public Action? Accepted { get; init; }

    public ValueTask<HttpRefusal?> PostAsync(JsonRpcMessage message, CancellationToken cancellationToken) =>
        PostAsync(message, message.Kind != JsonRpcMessageKind.Response && message.IsModern(), cancellationToken);

    /// <summary>Sends a message the short way, if it is one of those that have everything but themselves in common, and nothing stands against it.</summary>
    /// <param name="message">The message, of the legacy era; its bytes live as long as the exchange.</param>
    /// <param name="posted">The exchange: its answer is to be awaited, and to be given to <see cref="TakeAsync"/>.</param>
    /// <param name="cancellationToken">Closes the exchange.</param>
    /// <returns>False when nothing was sent: <see cref="PostAsync(JsonRpcMessage, CancellationToken)"/> knows all that can happen.</returns>
    public bool TryPost(in JsonRpcMessage message, out ShortPost posted, CancellationToken cancellationToken)
    {
        posted = default;
        var timeout = TimeoutFor(message);

        // A trace is the message's own: it is in nothing that is prepared for all.
        if (TraceContext.Outgoing is not null || TakeWhole() is not { } session || Prepared(message, session) is not { } prepared
            || !http.TryPost(prepared, message.Utf8, timeout, RequestOccasions.Of(message), out var answering, cancellationToken))
        {
            return false;
        }

        posted = new(session, answering, timeout);
        return true;
    }

    /// <summary>Hands on the answer to a message that went the short way.</summary>
    /// <param name="message">The message.</param>
    /// <param name="answer">The answer, which is disposed of by the caller.</param>
    /// <param name="cancellationToken">Closes the exchange.</param>
    public ValueTask TakeAsync(in JsonRpcMessage message, in PlainAnswer answer, CancellationToken cancellationToken)
    {
        Accepted?.Invoke();
        return DeliverAnswerAsync(message, answer.Body, cancellationToken);
    }

    /// <summary>Reads a response to a message that went the short way, which is more than an answer.</summary>
    /// <inheritdoc cref="IHttpClientHalf.PostAsync"/>
    public async ValueTask<HttpRefusal?> TakeResponseAsync(JsonRpcMessage message, ShortPost posted, HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var refusal = await PostOnceAsync(message, posted.Session, modern: false, cancellationToken, response);
        return refusal is null ? null : await AfterRefusalAsync(refusal, message, posted.Session, modern: false, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();

        // Bounded: it may be handing a message to a client that does not read.
        await Task.WhenAny(_listening, Task.Delay(s_closeTimeout, http.Time));
        var session = Current;
        if (session.Id is not null)
        {
            try
            {
                using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(1), http.Time);
                using var response = await http.SendAsync(HttpMethod.Delete, http.Options.Url, null, Timeout.InfiniteTimeSpan, RequestOccasion.Background, headers => SetSession(headers, session), timeout.Token);
            }
            catch (Exception e) when (e is UpstreamHttpException or OperationCanceledException)
            {
                LogDeleteFailed(e.Message);
            }
        }

        _stopListening?.Dispose();
        _closing.Dispose();
    }

    private Session Current
    {
        get
        {
            lock (_gate)
            {
                return _session;
            }
        }
    }

    /// <summary>Sends a message in the way that knows all that can happen.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<HttpRefusal?> PostAsync(JsonRpcMessage message, bool modern, CancellationToken cancellationToken)
    {
        if (modern && message.Is("tools/call"u8) && RequestMetadata.NameOf(message) is { } tool && tools.Find(tool) is null)
        {
            await ListToolsAsync(message).WaitAsync(cancellationToken);
        }

        var session = modern ? Current : await RestoredAsync(cancellationToken);
        var refusal = await PostOnceAsync(message, session, modern, cancellationToken);
        return refusal is null ? null : await AfterRefusalAsync(refusal, message, session, modern, cancellationToken);
    }

    /// <summary>Sends a message again where the reason for its refusal can be seen to.</summary>
    /// <returns>Null when it was accepted then; otherwise the refusal.</returns>
    private async ValueTask<HttpRefusal?> AfterRefusalAsync(HttpRefusal refusal, JsonRpcMessage message, Session session, bool modern, CancellationToken cancellationToken)
    {
        if (modern && refusal.IsHeaderMismatch && message.Is("tools/call"u8))
        {
            // The tool's schema may have changed since it was listed (MCP 2026-07-28, "Client Behavior").
            await ListToolsAsync(message).WaitAsync(cancellationToken);
            return await PostOnceAsync(message, session, modern, cancellationToken);
        }

        if (session.Id is not null && refusal.SaysSessionIsGone && !message.Is("initialize"u8) && await ReinitializeAsync(session, cancellationToken))
        {
            return await PostOnceAsync(message, Current, modern, cancellationToken);
        }

        return refusal;
    }

    /// <summary>Sends a message once.</summary>
    /// <param name="message">The message.</param>
    /// <param name="session">The session that it belongs to.</param>
    /// <param name="modern">Whether it is of the modern era.</param>
    /// <param name="cancellationToken">Closes the exchange.</param>
    /// <param name="first">The response, where the message was sent already.</param>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<HttpRefusal?> PostOnceAsync(JsonRpcMessage message, Session session, bool modern, CancellationToken cancellationToken, HttpResponseMessage? first = null)
    {
        using var response = await http.SendAsync(
            HttpMethod.Post, http.Options.Url, message.Utf8, TimeoutFor(message), RequestOccasions.Of(message), headers => SetHeaders(headers, message, session, modern), cancellationToken, first);
        if (!response.IsSuccessStatusCode)
        {
            var (body, text) = await http.ReadRefusalAsync(response, cancellationToken);
            return new(response.StatusCode, body, text);
        }

        Accepted?.Invoke();
        if (message.Kind == JsonRpcMessageKind.Request)
        {
            await ReadAnswerAsync(message, response, modern, cancellationToken);
        }
        else if (message.Is("notifications/initialized"u8))
        {
            // Its connection is free for the stream, which then opens before the next request: the server may ask on it at once.
            response.Dispose();
            StartListening(session);
        }

        return null;
    }

    private TimeSpan TimeoutFor(in JsonRpcMessage message) => message.Kind == JsonRpcMessageKind.Request ? http.Options.HeadersTimeout : UpstreamHttpClient.ControlTimeout;

    /// <summary>What all messages of a legacy session have in common on their way; null for those that have something of their own.</summary>
    private PreparedRequest? Prepared(in JsonRpcMessage message, Session session)
    {
        if (message.Kind == JsonRpcMessageKind.Notification || message.Is("initialize"u8))
        {
            return null;
        }

        if (!session.IsPrepared)
        {
            Prepare(message, session);
        }

        return session.Prepared;
    }

    private void Prepare(JsonRpcMessage any, Session session)
    {
        session.Prepared = http.Prepare(headers => SetHeaders(headers, any, session, modern: false));
        session.IsPrepared = true;
    }

    /// <summary>Hands on the answer to a message of a legacy session that came whole.</summary>
    private ValueTask DeliverAnswerAsync(in JsonRpcMessage message, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        if (message.Kind != JsonRpcMessageKind.Request)
        {
            return ValueTask.CompletedTask;
        }

        return !JsonRpcMessage.IsBatch(body.Span) && JsonRpcMessage.TryParse(body, out var answer, out _) && answer.Kind == JsonRpcMessageKind.Response && answer.Id == message.Id
            ? receiver.ReceiveAsync(answer, message.Id, cancellationToken)
            : DeliverOddAnswerAsync(new(message, modern: false, sessionId: null), body, cancellationToken);
    }

    private async ValueTask DeliverOddAnswerAsync(Exchange exchange, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        await DeliverAsync(exchange, body, cancellationToken);
        if (!exchange.Answered)
        {
            await AnswerAsync(exchange.Request.Id, NoResponse, cancellationToken);
        }
    }

    private async Task ReadAnswerAsync(JsonRpcMessage request, HttpResponseMessage response, bool modern, CancellationToken cancellationToken)
    {
        var exchange = new Exchange(request, modern, request.Is("initialize"u8) ? Header(response, McpHeaders.SessionId) : null);
        string problem;
        if (ServerSentEvents.IsEventStream(response))
        {
            problem = await ReadStreamAsync(exchange, response, cancellationToken);
        }
        else if (response.StatusCode is HttpStatusCode.Accepted or HttpStatusCode.NoContent)
        {
            problem = $"the server answered HTTP {(int)response.StatusCode}, which no request may be answered with";
        }
        else
        {
            using var body = await http.ReadBodyAsync(response, cancellationToken);
            await DeliverAsync(exchange, body.Memory, cancellationToken);
            problem = NoResponse;
        }

        if (!exchange.Answered)
        {
            await AnswerAsync(request.Id, problem, cancellationToken);
        }
    }

    /// <summary>Reads a request's event stream, resuming it where the server allows that.</summary>
    /// <returns>Why there is no answer, if there is none.</returns>
    private async Task<string> ReadStreamAsync(Exchange exchange, HttpResponseMessage first, CancellationToken cancellationToken)
    {
        var response = first;
        string? lastEventId = null;
        TimeSpan? retry = null;
        for (var attempt = 0; ; attempt++)
        {
            var problem = "the server ended the stream before the answer";
            if (response is not null)
            {
                var events = new ServerSentEvents(http, response);
                problem = await ReadEventsAsync(events, exchange, cancellationToken) ?? problem;
                attempt = events.LastEventId is not null && events.LastEventId != lastEventId ? 0 : attempt;
                lastEventId = events.LastEventId ?? lastEventId;
                retry = events.Retry ?? retry;
                if (response != first)
                {
                    response.Dispose();
                }
            }

            if (exchange.Answered || exchange.Modern || lastEventId is null || attempt > MaxResumeAttempts)
            {
                return problem;
            }

            LogResuming(exchange.Request, lastEventId);
            await Task.Delay(retry ?? s_defaultRetry, http.Time, cancellationToken);
            response = await ResumeAsync(lastEventId, cancellationToken);
        }
    }

    /// <summary>Hands on the events of one stream.</summary>
    /// <returns>How it broke, if it did.</returns>
    private async Task<string?> ReadEventsAsync(ServerSentEvents events, Exchange exchange, CancellationToken cancellationToken)
    {
        using var linger = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            await foreach (var (type, data) in events.ReadAsync(linger.Token))
            {
                if (type == "message" && data.Length > 0)
                {
                    await DeliverAsync(exchange, data, cancellationToken);
                }

                if (exchange.Answered)
                {
                    linger.CancelAfter(s_linger);
                }
            }

            return null;
        }
        catch (UpstreamHttpException e)
        {
            return e.Message;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    private async Task<HttpResponseMessage?> ResumeAsync(string lastEventId, CancellationToken cancellationToken)
    {
        try
        {
            var response = await GetAsync(Current, lastEventId, UpstreamHttpClient.ControlTimeout, cancellationToken);
            if (response.IsSuccessStatusCode && ServerSentEvents.IsEventStream(response))
            {
                return response;
            }

            LogListenRefused((int)response.StatusCode);
            response.Dispose();
        }
        catch (UpstreamHttpException e)
        {
            LogListenBroke(e.Message);
        }

        return null;
    }

    /// <summary>Hands on what one body or event holds.</summary>
    private ValueTask DeliverAsync(Exchange exchange, ReadOnlyMemory<byte> data, CancellationToken cancellationToken) =>
        JsonRpcMessage.IsBatch(data.Span) ? DeliverBatchAsync(exchange, data, cancellationToken) : DeliverOneAsync(exchange, data, cancellationToken);

    private async ValueTask DeliverBatchAsync(Exchange exchange, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (JsonRpcMessage.TrySplitBatch(data, out var elements, out var fault))
        {
            foreach (var element in elements)
            {
                await DeliverOneAsync(exchange, element, cancellationToken);
            }
        }
        else
        {
            LogNoMessage(fault.Message);
        }
    }

    private async ValueTask DeliverOneAsync(Exchange exchange, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (!JsonRpcMessage.TryParse(data, out var message, out var fault))
        {
            LogNoMessage(fault.Message);
            return;
        }

        if (message.Kind == JsonRpcMessageKind.Response && !exchange.Request.Id.IsNone && message.Id == exchange.Request.Id)
        {
            if (exchange.Answered)
            {
                return;
            }

            exchange.Answered = true;
            if (!exchange.Modern && exchange.Request.Is("initialize"u8) && !message.IsError)
            {
                SetSession(new(exchange.SessionId, JsonMembers.AsString(JsonMembers.Find(message.Result, "protocolVersion"u8))));
            }
            else if (exchange.Modern && exchange.Request.Is("tools/list"u8))
            {
                message = tools.LearnAndFilter(message);
            }

            if (exchange.OnAnswer is { } onAnswer)
            {
                onAnswer(message.Detach());
                return;
            }
        }

        await receiver.ReceiveAsync(message, exchange.Request.Id, cancellationToken);
    }

    private ValueTask AnswerAsync(JsonRpcId id, string problem, CancellationToken cancellationToken) =>
        receiver.ReceiveAsync(JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, problem), id, cancellationToken);

    /// <summary>Sends a request of the proxy's own and returns the answer; null when there is none.</summary>
    private async Task<JsonRpcMessage?> AskAsync(JsonRpcMessage request, Session session, bool modern, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(UpstreamHttpClient.ControlTimeout);
        try
        {
            using var response = await http.SendAsync(
                HttpMethod.Post, http.Options.Url, request.Utf8, Timeout.InfiniteTimeSpan, RequestOccasion.Background, headers => SetHeaders(headers, request, session, modern), timeout.Token);
            JsonRpcMessage? answer = null;
            if (response.IsSuccessStatusCode)
            {
                Accepted?.Invoke();
                var exchange = new Exchange(request, modern, Header(response, McpHeaders.SessionId)) { OnAnswer = message => answer = message };
                if (ServerSentEvents.IsEventStream(response))
                {
                    await ReadStreamAsync(exchange, response, timeout.Token);
                }
                else if (response.StatusCode == HttpStatusCode.OK)
                {
                    using var body = await http.ReadBodyAsync(response, timeout.Token);
                    await DeliverAsync(exchange, body.Memory, timeout.Token);
                }
            }

            return answer;
        }
        catch (Exception e) when (e is UpstreamHttpException or OperationCanceledException)
        {
            LogAskFailed(request, e.Message);
            return null;
        }
    }

    /// <summary>
    /// Learns which parameters are mirrored into headers. Without an answer the call goes out without such headers, and the
    /// server has the last word. Not for the one call alone that came first, so its end does not end it.
    /// </summary>
    private Task ListToolsAsync(JsonRpcMessage call) =>
        tools.ListOnceAsync(call.Detach(), page => AskAsync(page, Current, modern: true, _closing.Token));

    /// <summary>The session, unless it is being opened again.</summary>
    private Session? TakeWhole()
    {
        // In this order it needs no lock: a new session that is not whole yet is only there while it is being opened.
        var session = _session;
        return _reinitializing is null ? session : null;
    }

    /// <summary>The session, as soon as one that is being opened again is whole.</summary>
    private ValueTask<Session> RestoredAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            return _reinitializing is { } reinitializing ? AfterAsync(reinitializing) : new(_session);
        }

        async ValueTask<Session> AfterAsync(Task<bool> reinitializing)
        {
            await reinitializing.WaitAsync(cancellationToken);
            return Current;
        }
    }

    /// <summary>Opens a new session in place of one that the server has lost; the client does not notice.</summary>
    /// <returns>False when that failed, or nothing was ever initialised.</returns>
    private async Task<bool> ReinitializeAsync(Session lost, CancellationToken cancellationToken)
    {
        Task<bool> work;
        lock (_gate)
        {
            // A new session is of use when all of it was restored, and not before.
            if (_reinitializing is null && _session != lost)
            {
                return true;
            }

            work = _reinitializing ??= OpenAgainAsync();
        }

        return await work.WaitAsync(cancellationToken);
    }

    private async Task<bool> OpenAgainAsync()
    {
        await Task.Yield();
        try
        {
            if (replay.Initialize is not { } initialize)
            {
                return false;
            }

            LogSessionLost();
            if (await AskAsync(initialize, new(null, null), modern: false, _closing.Token) is not { IsError: false })
            {
                return false;
            }

            var session = Current;
            foreach (var message in replay.Rest())
            {
                if (message.Kind == JsonRpcMessageKind.Request)
                {
                    await AskAsync(message, session, modern: false, _closing.Token);
                }
                else
                {
                    using var response = await http.SendAsync(
                        HttpMethod.Post, http.Options.Url, message.Utf8, UpstreamHttpClient.ControlTimeout, RequestOccasion.Background, headers => SetHeaders(headers, message, session, modern: false), _closing.Token);
                }
            }

            StartListening(session);
            return true;
        }
        catch (Exception e) when (e is UpstreamHttpException or OperationCanceledException)
        {
            LogReinitializeFailed(e.Message);
            return false;
        }
        finally
        {
            lock (_gate)
            {
                _reinitializing = null;
            }
        }
    }

    private void SetSession(Session session)
    {
        lock (_gate)
        {
            _session = session;
        }
    }

    private void StartListening(Session session)
    {
        lock (_gate)
        {
            if (_closing.IsCancellationRequested)
            {
                return;
            }

            _stopListening?.Cancel();
            _stopListening?.Dispose();
            _stopListening = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            _listening = ListenAsync(session, _listening, _stopListening.Token);
        }
    }

    /// <summary>Reads the session's own stream, and opens it again whenever it ends, until the server says that it has none.</summary>
    private async Task ListenAsync(Session session, Task previous, CancellationToken cancellationToken)
    {
        await previous;
        string? lastEventId = null;
        var exchange = new Exchange(default, false, null);
        var wait = s_defaultRetry;
        try
        {
            while (true)
            {
                TimeSpan? retry = null;
                try
                {
                    using var response = await GetAsync(session, lastEventId, Timeout.InfiniteTimeSpan, cancellationToken);
                    if (response.StatusCode == HttpStatusCode.NotFound && session.Id is not null)
                    {
                        // The new session starts a listener of its own.
                        _ = ReinitializeAsync(session, _closing.Token);
                        return;
                    }

                    if ((int)response.StatusCode < 500 && (!response.IsSuccessStatusCode || !ServerSentEvents.IsEventStream(response)))
                    {
                        LogListenRefused((int)response.StatusCode);
                        return;
                    }

                    if (response.IsSuccessStatusCode)
                    {
                        var events = new ServerSentEvents(http, response);
                        if (await ReadEventsAsync(events, exchange, cancellationToken) is { } problem)
                        {
                            LogListenBroke(problem);
                        }

                        lastEventId = events.LastEventId ?? lastEventId;
                        retry = events.Retry;
                        wait = s_defaultRetry;
                    }
                }
                catch (UpstreamHttpException e)
                {
                    LogListenBroke(e.Message);
                }

                await Task.Delay(retry ?? wait, http.Time, cancellationToken);
                wait = wait * 2 < s_maxRetry ? wait * 2 : s_maxRetry;
            }
        }
        catch (OperationCanceledException)
        {
            // The session is closing, or another listener takes over.
        }
    }

    private ValueTask<HttpResponseMessage> GetAsync(Session session, string? lastEventId, TimeSpan headersTimeout, CancellationToken cancellationToken) =>
        http.SendAsync(
            HttpMethod.Get,
            http.Options.Url,
            null,
            headersTimeout,
            RequestOccasion.Background,
            headers =>
            {
                headers.TryAddWithoutValidation("Accept", "text/event-stream");
                SetSession(headers, session);
                if (lastEventId is not null)
                {
                    headers.TryAddWithoutValidation(McpHeaders.LastEventId, lastEventId);
                }
            },
            cancellationToken);

    private static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;

    private static void SetSession(HttpRequestHeaders headers, Session session)
    {
        if (session.Id is not null)
        {
            headers.TryAddWithoutValidation(McpHeaders.SessionId, session.Id);
        }

        if (session.ProtocolVersion is not null)
        {
            headers.TryAddWithoutValidation(McpHeaders.ProtocolVersion, session.ProtocolVersion);
        }
    }

    private void SetHeaders(HttpRequestHeaders headers, in JsonRpcMessage message, Session session, bool modern)
    {
        headers.TryAddWithoutValidation("Accept", "application/json, text/event-stream");
        TraceHeaders.Set(headers);
        if (!modern)
        {
            if (!message.Is("initialize"u8))
            {
                SetSession(headers, session);
            }

            return;
        }

        if (JsonMembers.AsString(message.ProtocolVersion()) is { } version)
        {
            headers.TryAddWithoutValidation(McpHeaders.ProtocolVersion, McpHeaders.Encode(version));
        }

        headers.TryAddWithoutValidation(McpHeaders.Method, McpHeaders.Encode(System.Text.Encoding.UTF8.GetString(message.Method)));
        if (RequestMetadata.NameOf(message) is not { } name)
        {
            return;
        }

        headers.TryAddWithoutValidation(McpHeaders.Name, McpHeaders.Encode(name));
        if (message.Is("tools/call"u8) && tools.Find(name) is { Count: > 0 } mirrored)
        {
            var arguments = JsonMembers.Find(message.Params, "arguments"u8);
            foreach (var header in mirrored)
            {
                if (header.ValueFor(arguments) is { } value)
                {
                    headers.TryAddWithoutValidation(header.Name, McpHeaders.Encode(value));
                }
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The server has lost the session: opening it again")]
    private partial void LogSessionLost();

    [LoggerMessage(Level = LogLevel.Warning, Message = "The session could not be opened again: {Reason}")]
    private partial void LogReinitializeFailed(string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Resuming the stream of {Request} after event {EventId}")]
    private partial void LogResuming(JsonRpcMessage request, string eventId);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The server offers no stream (HTTP {Status})")]
    private partial void LogListenRefused(int status);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The server's stream broke: {Reason}")]
    private partial void LogListenBroke(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The server sent something that is no message; skipped: {Problem}")]
    private partial void LogNoMessage(string problem);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Request} of the proxy itself failed: {Reason}")]
    private partial void LogAskFailed(JsonRpcMessage request, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Ending the session failed: {Reason}")]
    private partial void LogDeleteFailed(string reason);

    /// <summary>What the server gave a legacy session at its start.</summary>
    internal sealed record Session(string? Id, string? ProtocolVersion)
    {
        /// <summary>What its messages have in common on their way, once <see cref="IsPrepared"/>; null where they are better made one by one.</summary>
        public PreparedRequest? Prepared { get; set; }

        public volatile bool IsPrepared;

        public bool Equals(Session? other) => ReferenceEquals(this, other);

        public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);
    }

    /// <summary>A message that went the short way.</summary>
    /// <param name="Session">The session that it belongs to.</param>
    /// <param name="Answering">The answer, to be awaited with <see cref="UpstreamHttpClient.Explained(Exception, TimeSpan)"/>.</param>
    /// <param name="Timeout">How long the response may take to begin.</param>
    internal readonly record struct ShortPost(Session Session, ValueTask<PlainAnswer> Answering, TimeSpan Timeout);

    /// <summary>One request and what has come of it.</summary>
    private sealed class Exchange(JsonRpcMessage request, bool modern, string? sessionId)
    {
        public JsonRpcMessage Request { get; } = request;

        public bool Modern { get; } = modern;

        public string? SessionId { get; } = sessionId;

        public bool Answered { get; set; }

        /// <summary>Takes the answer in place of the client, when the proxy itself asked.</summary>
        public Action<JsonRpcMessage>? OnAnswer { get; init; }
    }
}
