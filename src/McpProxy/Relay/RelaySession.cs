using System.Runtime.CompilerServices;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Relay;

/// <summary>
/// One client's relationship with one upstream: moves messages between the two connections as they are, and sees to it
/// that every request gets exactly one answer, whichever side dies.
/// </summary>
public sealed partial class RelaySession
{
    private static readonly TimeSpan s_lastAnswersTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_firstRequestTimeout = TimeSpan.FromSeconds(1);

    private readonly IConnection _downstream;
    private readonly IConnection _upstream;
    private readonly RelayOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly PendingRequests _fromClient = new();
    private readonly PendingRequests _fromServer = new();
    private readonly TaskCompletionSource _firstRefusal = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string _endDetail = "";
    private volatile bool _hasSeenRequest;

    /// <summary>Makes a session of two connections, which it owns from now on.</summary>
    /// <param name="downstream">The client's side.</param>
    /// <param name="upstream">The server's side.</param>
    /// <param name="options">Bounds; the defaults when null.</param>
    /// <param name="time">The clock of the bounds.</param>
    /// <param name="logger">Where the session logs; message contents are never logged.</param>
    public RelaySession(IConnection downstream, IConnection upstream, RelayOptions? options = null, TimeProvider? time = null, ILogger? logger = null)
    {
        _downstream = downstream;
        _upstream = upstream;
        _options = options ?? new();
        _time = time ?? TimeProvider.System;
        _logger = logger ?? NullLogger.Instance;
    }

    /// <summary>Requests of the client that the server has not answered yet.</summary>
    internal int RequestsInFlight => _fromClient.Count;

    /// <summary>Relays until one side ends, answers what is still in flight, and closes both connections.</summary>
    /// <param name="cancellationToken">Ends the session from this side, without waiting for answers.</param>
    public async Task<RelayEnd> RunAsync(CancellationToken cancellationToken)
    {
        using var stopDownstream = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var stopUpstream = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var upstream = _upstream.RunAsync(new FromUpstream(this), stopUpstream.Token);
        var downstream = _downstream.RunAsync(new FromDownstream(this), stopDownstream.Token);
        RelayEnd end;
        try
        {
            using var clock = _options.RequestTimeout is { } timeout ? new RequestClock(timeout, _options.MaxRequestTime ?? timeout * 10, _fromClient, _fromServer, _time, TimeOutAsync) : null;
            await Task.WhenAny(downstream, upstream);
            if (downstream.IsCompleted || cancellationToken.IsCancellationRequested)
            {
                end = new(ByUpstream: false, downstream.IsCompleted ? await downstream : new(ConnectionEndReason.Closed, "closed"));
                LogClientEnded(end.End.Detail);
                await WithinAsync(RefuseServerRequestsAsync("the client is gone"));
                if (end.End.Reason == ConnectionEndReason.PeerClosed)
                {
                    _upstream.EndOfInput();
                    await DrainAsync(upstream, cancellationToken);
                    if (upstream.IsCompletedSuccessfully && (await upstream).Reason != ConnectionEndReason.Closed)
                    {
                        end = new(ByUpstream: true, await upstream);
                    }
                }
            }
            else
            {
                end = new(ByUpstream: true, await upstream);
                LogUpstreamEnded(end.End.Detail);
            }

            _endDetail = end.End.Detail;
            var reason = end.ByUpstream ? end.End.Detail : "the session ended before the answer came";
            await AnswerLastAsync(_fromClient.RemoveAll(close: true), reason, graceful: !end.ByUpstream);
            if (end.ByUpstream && !_hasSeenRequest)
            {
                // An upstream that could not even be started: the client that is about to ask is owed the reason.
                await Task.WhenAny(_firstRefusal.Task, downstream, Task.Delay(s_firstRequestTimeout, _time, cancellationToken));
            }
        }
        finally
        {
            await stopDownstream.CancelAsync();
            await stopUpstream.CancelAsync();
            await _upstream.DisposeAsync();
            await _downstream.DisposeAsync();
            _options.Activity?.Happened();
        }

        return end;
    }

    /// <summary>Completes when every request of the client was answered, but for subscriptions; what comes later is not waited for.</summary>
    public Task DrainedAsync() => _fromClient.DrainedAsync();

    /// <summary>Waits for the answers to what the client had asked before its input ended.</summary>
    private async Task DrainAsync(Task upstream, CancellationToken cancellationToken)
    {
        try
        {
            await Task.WhenAny(AllAnsweredAsync(), upstream, _downstream.Gone).WaitAsync(_options.DrainTimeout, _time, cancellationToken);
        }
        catch (TimeoutException)
        {
            LogDrainTimeout(_options.DrainTimeout.TotalSeconds);
        }
        catch (OperationCanceledException)
        {
            // Told to end now: the rest is answered with an error.
        }
    }

    /// <summary>Completes when everything was answered, and the client has been sent all of it.</summary>
    private async Task AllAnsweredAsync()
    {
        await _fromClient.DrainedAsync();
        await _downstream.FlushAsync(CancellationToken.None);
    }

    private async Task AnswerPendingAsync(List<(JsonRpcId Id, bool IsListen, RequestOperation Operation)> pending, string reason, bool graceful)
    {
        foreach (var (id, isListen, operation) in pending)
        {
            var answer = isListen && graceful ? ListenClosed(id) : JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, reason);
            operation.Answered(answer);
            await _downstream.SendAsync(answer, id, CancellationToken.None);
            operation.End(answer);
        }

        _fromClient.Settle(pending.Count(request => !request.IsListen));
    }

    /// <summary>Waits, but not for a peer that does not read.</summary>
    private async Task WithinAsync(Task sending)
    {
        try
        {
            await sending.WaitAsync(s_lastAnswersTimeout, _time);
        }
        catch (TimeoutException)
        {
            LogNotRead();
        }
    }

    /// <summary>Answers what is left when the session ends; a client that no longer reads does not keep it from ending.</summary>
    private async Task AnswerLastAsync(List<(JsonRpcId Id, bool IsListen, RequestOperation Operation)> pending, string reason, bool graceful)
    {
        // On another thread: writing to a pipe that nobody reads blocks.
        var answering = pending.Count == 0 ? Task.CompletedTask : Task.Run(() => AnswerPendingAsync(pending, reason, graceful));

        // And what the server answered last may still be on its way out.
        await WithinAsync(Task.WhenAll(answering, _fromClient.DrainedAsync()));
    }

    private async Task RefuseServerRequestsAsync(string reason)
    {
        foreach (var (id, _, _) in _fromServer.RemoveAll(close: false))
        {
            await _upstream.SendAsync(JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, reason), default, CancellationToken.None);
        }
    }

    /// <summary>Answers a request that the server has taken too long for.</summary>
    private async Task TimeOutAsync(JsonRpcId id, bool isInitialize)
    {
        var removed = _fromClient.Remove(id, out var operation);
        if (removed < 0)
        {
            return;
        }

        operation.End(RequestOutcome.TimedOut);
        LogTimedOut(id, _options.RequestTimeout!.Value.TotalSeconds);

        // Begun first, so that it cannot hit a later request with this id; awaited last, since a server that is stuck may not read it.
        var cancelling = isInitialize
            ? Task.FromResult(true)
            : _upstream.SendAsync(JsonRpcWriter.Cancelled(id, "the request took too long"), default, CancellationToken.None).AsTask();
        await _downstream.SendAsync(
            JsonRpcWriter.Error(id, JsonRpcErrorCode.RequestTimeout, "Request timed out: the server took longer than the proxy allows (--request-timeout)"), id, CancellationToken.None);
        _fromClient.Settle(removed);
        await cancelling;
    }

    /// <summary>The result with which a server ends a subscription that the client did not cancel (MCP 2026-07-28, "Graceful Closure").</summary>
    private static JsonRpcMessage ListenClosed(JsonRpcId id)
    {
        var text = id.Utf8Text.Span;
        return JsonSplice.Reparse((byte[])
        [
            .. "{\"jsonrpc\":\"2.0\",\"id\":"u8, .. text,
            .. ",\"result\":{\"resultType\":\"complete\",\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":"u8, .. text, .. "}}}"u8,
        ]);
    }

    /// <summary>Passes a message of the client on.</summary>
    private ValueTask FromClientAsync(JsonRpcMessage message, CancellationToken cancellationToken)
    {
        try
        {
            _options.Activity?.Happened();
            ProxyMeter.Received(MessageSide.Downstream, message.Utf8.Length);
            switch (message.Kind)
            {
                case JsonRpcMessageKind.Request:
                    _hasSeenRequest = true;
                    var now = _time.GetTimestamp();
                    var operation = RequestOperation.Begin(message, _time, now);
                    var added = _fromClient.Add(message, _options.MaxRequestsInFlight, now, operation: operation);
                    if (added != PendingRequests.AddResult.Added)
                    {
                        operation.End(RequestOutcome.Refused);
                        return RefuseAsync(message, added, cancellationToken);
                    }

                    break;
                case JsonRpcMessageKind.Response:
                    var cause = _options.RequestTimeout is null ? default : _fromServer.CauseOf(message.Id);
                    if (IsUnasked(message, _fromServer.Remove(message.Id)))
                    {
                        return ValueTask.CompletedTask;
                    }

                    _fromClient.Touch(cause, _time.GetTimestamp());
                    break;
                default:
                    var cancelled = message.CancelledRequest();
                    if (!cancelled.IsNone)
                    {
                        // No answer is owed any more.
                        _fromClient.Settle(_fromClient.Remove(cancelled, out var givenUp));
                        givenUp.End(RequestOutcome.Cancelled);
                    }

                    break;
            }

            // Most are sent at once, and nobody waits for them.
            var sending = _upstream.SendAsync(message, default, cancellationToken);
            if (!sending.IsCompletedSuccessfully)
            {
                return FromClientSlowlyAsync(message, sending);
            }

#pragma warning disable VSTHRD103 // It has completed.
            Sent(message, MessageSide.Upstream, sending.Result);
#pragma warning restore VSTHRD103
            return ValueTask.CompletedTask;
        }
        catch (Exception e)
        {
            return FromClientSlowlyAsync(message, ValueTask.FromException<bool>(e));
        }
    }

    /// <summary>The same in a flow of its own, in which the request's span is the current one: in the caller's it would be the parent of the next request's.</summary>
    private async ValueTask FromClientTracedAsync(JsonRpcMessage message, CancellationToken cancellationToken) => await FromClientAsync(message, cancellationToken);

    private async ValueTask RefuseAsync(JsonRpcMessage request, PendingRequests.AddResult reason, CancellationToken cancellationToken)
    {
        await _downstream.SendAsync(Refusal(request.Id, reason), request.Id, cancellationToken);
        _firstRefusal.TrySetResult();
    }

    private async ValueTask FromClientSlowlyAsync(JsonRpcMessage message, ValueTask<bool> sending)
    {
        try
        {
            Sent(message, MessageSide.Upstream, await sending);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            await ReportDefectAsync(e, message, _downstream, message.Kind == JsonRpcMessageKind.Request ? RemoveFailed(message.Id) : -1);
        }
    }

    private void Sent(in JsonRpcMessage message, MessageSide to, bool isSent)
    {
        if (isSent)
        {
            ProxyMeter.Sent(to, message.Utf8.Length);
        }
        else
        {
            // What the upstream's end leaves unanswered is answered there, with the reason.
            LogDropped(message, to == MessageSide.Upstream ? "the upstream is gone" : "the client is gone");
        }
    }

    /// <summary>Passes an answer of the server on.</summary>
    private ValueTask AnswerAsync(JsonRpcMessage message, CancellationToken cancellationToken)
    {
        RequestOperation operation = default;
        var answered = -1;
        ValueTask<bool> sending;
        try
        {
            Arrived(message);
            answered = _fromClient.Remove(message.Id, out operation);
            if (IsUnasked(message, answered))
            {
                return ValueTask.CompletedTask;
            }

            operation.Answered(message);
            sending = _downstream.SendAsync(message, message.Id, cancellationToken);
            if (sending.IsCompletedSuccessfully)
            {
#pragma warning disable VSTHRD103 // It has completed.
                Sent(message, MessageSide.Downstream, sending.Result);
#pragma warning restore VSTHRD103
                operation.End(message);
                _fromClient.Settle(answered);
                return ValueTask.CompletedTask;
            }
        }
        catch (Exception e)
        {
            sending = ValueTask.FromException<bool>(e);
        }

        return AnswerSlowlyAsync(message, sending, answered, operation);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AnswerSlowlyAsync(JsonRpcMessage message, ValueTask<bool> sending, int answered, RequestOperation operation)
    {
        try
        {
            try
            {
                Sent(message, MessageSide.Downstream, await sending);
            }
            finally
            {
                operation.End(message);
                _fromClient.Settle(answered);
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            await ReportDefectAsync(e, message, _downstream, RemoveFailed(message.Id));
        }
    }

    private void Arrived(in JsonRpcMessage message)
    {
        _options.Activity?.Happened();
        ProxyMeter.Received(MessageSide.Upstream, message.Utf8.Length);
    }

    private async ValueTask FromServerAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        Arrived(message);
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Request:
                related = Attribute(message, related);
                var asked = _fromServer.Add(message, _options.MaxRequestsInFlight, _time.GetTimestamp(), related);
                if (asked != PendingRequests.AddResult.Added)
                {
                    await _upstream.SendAsync(Refusal(message.Id, asked), default, cancellationToken);
                    return;
                }

                break;
            default:
                related = Attribute(message, related);
                var cancelled = message.CancelledRequest();
                if (!cancelled.IsNone)
                {
                    // The clock of the request that the question was about stood still.
                    related = related.IsNone ? _fromServer.CauseOf(cancelled) : related;
                    _fromServer.Remove(cancelled);
                }

                break;
        }

        if (_options.RequestTimeout is not null && !related.IsNone)
        {
            _fromClient.Touch(related, _time.GetTimestamp());
        }

        if (await _downstream.SendAsync(message, related, cancellationToken))
        {
            ProxyMeter.Sent(MessageSide.Downstream, message.Utf8.Length);
            return;
        }

        LogDropped(message, "the client is gone");
        if (message.Kind == JsonRpcMessageKind.Request && _fromServer.Remove(message.Id) >= 0)
        {
            await _upstream.SendAsync(
                JsonRpcWriter.Error(message.Id, JsonRpcErrorCode.UpstreamUnavailable, "the client cannot be asked: it has no stream open"), default, cancellationToken);
        }
    }

    /// <summary>
    /// Whether a response answers nothing that is in flight: it comes a second time, or after a cancellation, and must not be
    /// passed on. An error without an id answers nothing in particular and may be of use.
    /// </summary>
    private bool IsUnasked(in JsonRpcMessage response, int removed)
    {
        if (removed >= 0 || response.Id.Kind is JsonRpcIdKind.None or JsonRpcIdKind.Null)
        {
            return false;
        }

        LogDropped(response, "nothing asked for it is in flight");
        return true;
    }

    private JsonRpcMessage Refusal(JsonRpcId id, PendingRequests.AddResult reason) => reason switch
    {
        PendingRequests.AddResult.Duplicate => JsonRpcWriter.Error(id, JsonRpcErrorCode.InvalidRequest, "Invalid request: a request with this id is in flight already"),
        PendingRequests.AddResult.TooMany => JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, "too many requests are in flight; try again when some are answered"),
        _ => JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, $"the session has ended: {_endDetail}"),
    };

    /// <summary>Finds the client's request on whose stream a message of the server travels.</summary>
    private JsonRpcId Attribute(in JsonRpcMessage message, JsonRpcId related)
    {
        if (message.Is("notifications/progress"u8))
        {
            var byToken = _fromClient.ByProgressToken(message.ProgressToken());
            return byToken.IsNone ? related : byToken;
        }

        var subscription = message.SubscriptionId();
        if (!subscription.IsNone)
        {
            return subscription;
        }

        return related.IsNone && !_upstream.HasRequestStreams && (message.Kind == JsonRpcMessageKind.Request || message.Is("notifications/message"u8))
            ? _fromClient.NewestCall()
            : related;
    }

    private int RemoveFailed(JsonRpcId id)
    {
        var removed = _fromClient.Remove(id, out var operation);
        operation.End(RequestOutcome.Error);
        return removed;
    }

    /// <summary>A defect of ours costs one message, not the session: who waits for it is told.</summary>
    private async ValueTask ReportDefectAsync(Exception exception, JsonRpcMessage message, IConnection waiting, int removed)
    {
        LogDefect(exception, message);
        if (removed >= 0)
        {
            await waiting.SendAsync(JsonRpcWriter.Error(message.Id, JsonRpcErrorCode.InternalError, "the proxy failed to pass the message on"), message.Id, CancellationToken.None);
            _fromClient.Settle(removed);
        }
    }

    /// <summary>Answers input that was no message: to whoever waits for it when it was meant as a response, else to its sender.</summary>
    private async ValueTask AnswerFaultAsync(JsonRpcFault fault, IConnection sender, IConnection other, PendingRequests asked, CancellationToken cancellationToken)
    {
        LogFault(fault.Message);
        if (!fault.IsResponse)
        {
            await sender.SendAsync(JsonRpcWriter.Error(fault), fault.Id, cancellationToken);
        }
        else if (!fault.Id.IsNone && asked.Remove(fault.Id, out var operation) is >= 0 and var answered)
        {
            await other.SendAsync(JsonRpcWriter.Error(fault.Id, JsonRpcErrorCode.InternalError, $"the answer cannot be passed on: {fault.Message}"), fault.Id, cancellationToken);
            operation.End(RequestOutcome.Error);
            asked.Settle(answered);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The client's side ended: {Detail}")]
    private partial void LogClientEnded(string detail);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The upstream's side ended: {Detail}")]
    private partial void LogUpstreamEnded(string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Requests were still unanswered {Seconds} s after the end of input")]
    private partial void LogDrainTimeout(double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Request {Id} timed out: no answer and no sign of one for {Seconds} s, or for longer than a request may take in all")]
    private partial void LogTimedOut(JsonRpcId id, double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A peer does not read: the last messages were not delivered")]
    private partial void LogNotRead();

    [LoggerMessage(Level = LogLevel.Debug, Message = "Not delivered ({Reason}): {Message}")]
    private partial void LogDropped(JsonRpcMessage message, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Received something that is no message: {Problem}")]
    private partial void LogFault(string problem);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while relaying {Message}")]
    private partial void LogDefect(Exception exception, JsonRpcMessage message);

    private sealed class FromDownstream(RelaySession session) : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
            RequestOperation.AreTraced ? session.FromClientTracedAsync(message, cancellationToken) : session.FromClientAsync(message, cancellationToken);

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) =>
            session.AnswerFaultAsync(fault, session._downstream, session._upstream, session._fromServer, cancellationToken);

        public async ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) =>
            await session.RefuseServerRequestsAsync(reason);
    }

    private sealed class FromUpstream(RelaySession session) : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
            message.Kind == JsonRpcMessageKind.Response ? session.AnswerAsync(message, cancellationToken) : ReceiveOtherAsync(message, related, cancellationToken);

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) =>
            session.AnswerFaultAsync(fault, session._upstream, session._downstream, session._fromClient, cancellationToken);

        public async ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken)
        {
            // What the server that is gone has asked has nobody left to answer to.
            foreach (var (id, _, _) in session._fromServer.RemoveAll(close: false))
            {
                await session._downstream.SendAsync(JsonRpcWriter.Cancelled(id, reason), default, cancellationToken);
            }

            await session.AnswerPendingAsync(session._fromClient.RemoveAll(close: false), reason, graceful: false);
        }

        private async ValueTask ReceiveOtherAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            try
            {
                await session.FromServerAsync(message, related, cancellationToken);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                await session.ReportDefectAsync(e, message, session._downstream, removed: -1);
            }
        }
    }
}
