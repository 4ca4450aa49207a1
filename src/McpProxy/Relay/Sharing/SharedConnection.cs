using McpProxy.Buffers;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Relay.Sharing;

/// <summary>
/// A connection that many clients use at once. Ids and progress tokens are replaced by unique ones on the way up and restored on the
/// way down, so that no client can see or touch what is another's.
/// </summary>
internal sealed partial class SharedConnection : IMessageReceiver, IAsyncDisposable
{
    private static readonly TimeSpan s_leaveTimeout = TimeSpan.FromSeconds(1);

    private readonly IConnection _connection;
    private readonly string _name;
    private readonly ILogger _logger;
    private readonly SharedSessions? _sessions;
    private readonly CancellationTokenSource _closing = new();
    private volatile string? _endDetail;

    /// <param name="connection">The connection, which this owns from now on.</param>
    /// <param name="name">What it leads to, for logs.</param>
    /// <param name="sessions">How its clients' sessions are kept, for a legacy server; null for a modern one, which has none.</param>
    /// <param name="time">The clock of what was given up.</param>
    /// <param name="logger">Where it logs.</param>
    public SharedConnection(IConnection connection, string name, SharedSessionOptions? sessions, TimeProvider time, ILogger logger)
    {
        Routes = new(time);
        _connection = connection;
        _name = name;
        _logger = logger;
        _sessions = sessions is null ? null : new(this, sessions.Initialize, logger);
    }

    public RequestRoutes Routes { get; }

    /// <summary>Reads the server until it is gone or the connection is closed.</summary>
    /// <param name="ended">Told the end before the clients are: whoever of them asks again must not come here.</param>
    public async Task RunAsync(Action<ConnectionEnd> ended)
    {
        // Started under a lock, which its end takes again.
        await Task.Yield();
        ConnectionEnd end;
        try
        {
            end = await _connection.RunAsync(this, _closing.Token);
        }
        catch (Exception e)
        {
            // A defect of ours must not leave every client waiting for a server that is not read any more.
            LogDefect(e, _name);
            end = new(ConnectionEndReason.TransportFailed, "the proxy failed to read the server");
        }

        _endDetail = end.Detail;
        LogEnded(_name, end.Detail);
        ended(end);
        Abandon(end.Detail);
        await _connection.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _connection.DisposeAsync();
    }

    /// <summary>Sends a message of the proxy's own that needs no answer.</summary>
    public ValueTask<bool> SendAsync(JsonRpcMessage message, CancellationToken cancellationToken) => _connection.SendAsync(message, default, cancellationToken);

    /// <summary>A request of the proxy's own whose answer is of no interest.</summary>
    public JsonRpcMessage OwnRequest(JsonRpcMessage request) => JsonSplice.WithId(request, Routes.Add(new(null, default)));

    /// <summary>Asks the server on the proxy's own account.</summary>
    /// <returns>The answer; an error of the proxy's when none came.</returns>
    public async Task<JsonRpcMessage> AskAsync(JsonRpcMessage request)
    {
        var answer = new TaskCompletionSource<JsonRpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        var id = Routes.Add(new(null, request.Id) { Answered = message => answer.TrySetResult(message.Detach()) });
        if (!await _connection.SendAsync(JsonSplice.WithId(request, id), default, _closing.Token) && _endDetail is { } detail)
        {
            // Its end has answered what was in flight then, and this came later.
            Fail(id, detail);
        }

        return await answer.Task;
    }

    /// <summary>Sends a client's message under ids of our own.</summary>
    public ValueTask<bool> SendAsync(SharedLane lane, JsonRpcMessage message, CancellationToken cancellationToken) => message.Kind switch
    {
        JsonRpcMessageKind.Request => SendRequestAsync(lane, message, cancellationToken),
        JsonRpcMessageKind.Notification => SendNotificationAsync(lane, message, cancellationToken),

        // An answer to nothing that this client was asked could only be meant to pass for another's.
        _ => _sessions?.TakesAnswer(lane, message.Id) == true ? _connection.SendAsync(message, default, cancellationToken) : new(false),
    };

    /// <summary>Takes back what a client that is gone has left at the server.</summary>
    public async ValueTask LeaveAsync(SharedLane lane)
    {
        List<JsonRpcMessage> messages = [.. Routes.RemoveAll(lane).Select(id => JsonRpcWriter.Cancelled(id, "the client is gone")), .. _sessions?.Leave(lane) ?? []];
        if (messages.Count == 0 || _endDetail is not null)
        {
            return;
        }

        // Bounded: a server that does not read must not keep a client's session from ending.
        using var timeout = new CancellationTokenSource(s_leaveTimeout);
        try
        {
            foreach (var message in messages)
            {
                await _connection.SendAsync(message, default, timeout.Token).AsTask().WaitAsync(timeout.Token);
            }
        }
        catch (OperationCanceledException)
        {
            LogLeftBehind(_name, messages.Count);
        }
    }

    public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        try
        {
            switch (message.Kind)
            {
                case JsonRpcMessageKind.Response:
                    Answer(message);
                    break;
                case JsonRpcMessageKind.Request:
                    return AskAsync(message, related);
                default:
                    if (!Notify(message, related))
                    {
                        LogDropped(message);
                    }

                    break;
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogDefect(e, _name);
            if (message.Kind == JsonRpcMessageKind.Response)
            {
                Fail(message.Id, "the proxy failed to pass the answer on", JsonRpcErrorCode.InternalError);
            }
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
    {
        if (fault.IsResponse)
        {
            Fail(fault.Id, $"the answer cannot be passed on: {fault.Message}", JsonRpcErrorCode.InternalError);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        Abandon(reason);
        return ValueTask.CompletedTask;
    }

    private static bool AsksForLogs(in JsonRpcMessage request) =>
        request.MayHaveMeta && request.Params.Span.IndexOf("io.modelcontextprotocol/logLevel"u8) >= 0
        && !JsonMembers.Find(request.Meta(), "io.modelcontextprotocol/logLevel"u8).IsEmpty;

    private static bool IsCall(in JsonRpcMessage request) =>
        request.Is("tools/call"u8) || request.Is("prompts/get"u8) || request.Is("resources/read"u8) || request.Is("completion/complete"u8);

    private static JsonRpcMessage WithIds(in JsonRpcMessage request, JsonRpcId id, JsonRpcId token, out RentedMemory memory)
    {
        if (token.IsNone)
        {
            return JsonSplice.WithId(request, id, out memory);
        }

        var text = id.Utf8Text;
        var tokenRange = JsonSplice.RangeOf(request.Utf8, JsonMembers.Find(request.Meta(), "progressToken"u8));
        memory = default;
        return JsonSplice.Reparse(request.IdRange.Start.Value < tokenRange.Start.Value
            ? JsonSplice.Apply(request.Utf8, (request.IdRange, text), (tokenRange, text))
            : JsonSplice.Apply(request.Utf8, (tokenRange, text), (request.IdRange, text)));
    }

    private static JsonRpcMessage Restored(in JsonRpcMessage response, Route route, out RentedMemory memory)
    {
        var restored = JsonSplice.WithId(response, route.Id, out memory);
        return restored.Result.Span.IndexOf("io.modelcontextprotocol/subscriptionId"u8) < 0
            ? restored
            : JsonSplice.Reparse(RestoreSubscription(restored.Utf8, restored.ResultRange, route.Id));
    }

    /// <summary>Puts the client's own id of a subscription in place of ours, where a message names it.</summary>
    private static ReadOnlyMemory<byte> RestoreSubscription(ReadOnlyMemory<byte> utf8, Range holder, JsonRpcId id)
    {
        var subscription = JsonMembers.Find(JsonMembers.Find(utf8[holder], "_meta"u8), "io.modelcontextprotocol/subscriptionId"u8);
        return subscription.IsEmpty ? utf8 : JsonSplice.Apply(utf8, (JsonSplice.RangeOf(utf8, subscription), id.Utf8Text));
    }

    private async ValueTask<bool> SendNotificationAsync(SharedLane lane, JsonRpcMessage message, CancellationToken cancellationToken)
    {
        var cancelled = message.CancelledRequest();
        if (cancelled.IsNone)
        {
            return _sessions?.Passes(lane, message) == false || await _connection.SendAsync(message, default, cancellationToken);
        }

        if (Routes.Remove(lane, cancelled) is { } own)
        {
            var requestId = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "requestId"u8));
            await _connection.SendAsync(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (requestId, own.Utf8Text))), default, cancellationToken);
        }

        return true;
    }

    private ValueTask<bool> SendRequestAsync(SharedLane lane, JsonRpcMessage request, CancellationToken cancellationToken) =>
        _sessions is { IntroducesItself: true } ? SendIntroducedAsync(lane, request, cancellationToken) : SendKnownAsync(lane, request, cancellationToken);

    /// <summary>Sends a request when the proxy has introduced itself to the server.</summary>
    private async ValueTask<bool> SendIntroducedAsync(SharedLane lane, JsonRpcMessage request, CancellationToken cancellationToken)
    {
        if (await _sessions!.IntroduceAsync(cancellationToken) is { } refusal)
        {
            lane.Deliver(JsonSplice.WithId(refusal, request.Id), request.Id);
            return true;
        }

        return await SendKnownAsync(lane, request, cancellationToken);
    }

    /// <summary>Sends a request to a server that knows its client. Most are sent at once, and nobody waits for them.</summary>
    private ValueTask<bool> SendKnownAsync(SharedLane lane, in JsonRpcMessage request, CancellationToken cancellationToken)
    {
        Action<JsonRpcMessage>? answered = null;
        if (_sessions?.Answers(lane, request, out answered) == true)
        {
            return new(true);
        }

        var token = request.ProgressToken();
        var id = Routes.Add(new(lane, request.Id.Detach(), token.Detach(), AsksForLogs(request), IsCall(request)) { Answered = answered });
        var renamed = WithIds(request, id, token, out var memory);
#pragma warning disable CA2012 // Awaited once, after a look at whether that takes its time.
        ValueTask<bool> sending;
        try
        {
            sending = _connection.SendAsync(renamed, default, cancellationToken);
        }
        catch
        {
            memory.Dispose();
            throw;
        }
#pragma warning restore CA2012

        if (!sending.IsCompletedSuccessfully)
        {
            return SendSlowlyAsync(sending, memory, id);
        }

        memory.Dispose();
#pragma warning disable VSTHRD103 // It has completed.
        return new(WasSent(sending.Result, id));
#pragma warning restore VSTHRD103
    }

    private async ValueTask<bool> SendSlowlyAsync(ValueTask<bool> sending, RentedMemory memory, JsonRpcId id)
    {
        using (memory)
        {
            return WasSent(await sending, id);
        }
    }

    private bool WasSent(bool sent, JsonRpcId id)
    {
        if (!sent && _endDetail is { } detail)
        {
            // Its end has answered what was in flight then, and this came later.
            Fail(id, detail);
        }

        return sent;
    }

    private void Answer(in JsonRpcMessage message)
    {
        if (Routes.Remove(message.Id) is not { } route)
        {
            LogDropped(message);
            return;
        }

        route.Answered?.Invoke(message);
        if (route.Lane is { } lane)
        {
            _sessions?.Learn(lane, message);
            lane.Deliver(Restored(message, route, out var memory), route.Id, isOwn: true, memory);
        }
    }

    private async ValueTask AskAsync(JsonRpcMessage request, JsonRpcId related)
    {
        try
        {
            // No server of the modern era asks; one that does is told at once that nobody will answer.
            var refusal = _sessions is null
                ? JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.MethodNotFound, "a client of this protocol version takes no requests")
                : _sessions.Ask(request, related);
            if (refusal is { } answer)
            {
                await _connection.SendAsync(answer, default, _closing.Token);
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogDefect(e, _name);
        }
    }

    private bool Notify(in JsonRpcMessage message, JsonRpcId related)
    {
        if (message.Is("notifications/progress"u8))
        {
            if (Routes.Find(message.ProgressToken()) is not { Lane: { } inProgress } asked || asked.ProgressToken.IsNone)
            {
                // It comes too late. Whoever else is calling may well have a request of his own under this number.
                return false;
            }

            var range = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "progressToken"u8));
            inProgress.Deliver(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (range, asked.ProgressToken.Utf8Text))), asked.Id);
            return true;
        }

        if (_sessions is not null)
        {
            return _sessions.Notify(message, related);
        }

        if (Routes.Find(message.SubscriptionId()) is { Lane: { } subscriber } subscribed)
        {
            subscriber.Deliver(JsonSplice.Reparse(RestoreSubscription(message.Utf8, message.ParamsRange, subscribed.Id)), subscribed.Id);
            return true;
        }

        if (Routes.Find(message.CancelledRequest()) is { Lane: { } tornDown } torn)
        {
            var range = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "requestId"u8));
            tornDown.Deliver(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (range, torn.Id.Utf8Text))), torn.Id);
            return true;
        }

        if (message.Is("notifications/message"u8) && Routes.OnlyOneThatAsksForLogs() is { Lane: { } listener } logged)
        {
            listener.Deliver(message, logged.Id);
            return true;
        }

        return false;
    }

    private void Fail(JsonRpcId id, string reason, int code = JsonRpcErrorCode.UpstreamUnavailable)
    {
        if (Routes.Remove(id) is { } route)
        {
            Fail(route, reason, code);
        }
    }

    private static void Fail(Route route, string reason, int code)
    {
        var error = JsonRpcWriter.Error(route.Id, code, reason);
        route.Answered?.Invoke(error);
        route.Lane?.Deliver(error, route.Id);
    }

    private void Abandon(string reason)
    {
        if (!_closing.IsCancellationRequested)
        {
            _sessions?.ServerIsGone(reason);
        }

        // When it is this side that closes, the sessions end by themselves, each in its own way; but who asks on the proxy's account has no session.
        foreach (var route in Routes.RemoveAll().Where(route => route.Lane is null || !_closing.IsCancellationRequested))
        {
            Fail(route, reason, JsonRpcErrorCode.UpstreamUnavailable);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} does not read: {Count} messages about a client that is gone could not be sent")]
    private partial void LogLeftBehind(string name, int count);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The shared connection to {Name} ended: {Detail}")]
    private partial void LogEnded(string name, string detail);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while relaying from {Name}")]
    private partial void LogDefect(Exception exception, string name);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Not delivered, it cannot be told to whom it belongs: {Message}")]
    private partial void LogDropped(JsonRpcMessage message);
}
