using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using McpProxy.AspNetCore.Connections.Usual;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Sessions;

/// <summary>The server half of a legacy Streamable HTTP session (MCP 2025-03-26 to 2025-11-25): the client's POSTs and its GET stream.</summary>
internal sealed class StreamableHttpSession : IConnection
{
    private const string HasEnded = "Session not found: it has ended; initialize again";
    private const string IdleForTooLong = "idle for too long";

    /// <summary>How long a question of the server waits for the client to open a stream, before it is answered with an error.</summary>
    private static readonly TimeSpan s_unheardTimeout = TimeSpan.FromSeconds(15);

    private readonly Serving _serving;
    private readonly TimeProvider _time;
    private readonly ReplayBuffer _replay;
    private readonly RequestStream _own;
    private readonly Action<HttpResponse> _starting;
    private readonly Action<EventStream> _answered;
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, RequestStream> _byRequest = [];
    private readonly Dictionary<int, RequestStream> _byNumber = [];
    private readonly List<(JsonRpcId Id, RequestStream Stream, long Since)> _unheard = [];
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IMessageReceiver? _receiver;
    private CancellationToken _cancellation;
    private JsonRpcId _initializeId;
    private bool _initializeFailed;
    private string? _protocolVersion;
    private int _lastNumber;
    private int _open;
    private long _lastActivity;

    public StreamableHttpSession(Serving serving, string? principal)
    {
        _serving = serving;
        _time = serving.Time;
        Principal = principal;
        Number = serving.NextSessionNumber();
        _replay = new(serving.Options.ReplayMaxEvents, serving.Options.ReplayMaxBytes, serving.Replays);
        _own = new(0, [], _replay);
        _starting = NameSession;
        _answered = Answered;
        _lastActivity = _time.GetTimestamp();
    }

    /// <summary>Who opened it; nobody else may use it.</summary>
    public string? Principal { get; }

    /// <summary>The session's id: 122 random bits of the operating system's generator, visible ASCII.</summary>
    public string Id { get; } = Guid.NewGuid().ToString("N");

    /// <summary>What the session is called in logs, where its id must not stand.</summary>
    public int Number { get; }

    /// <summary>The relay that this session is one side of, once it runs.</summary>
    public RelaySession? Relay { get; set; }

    /// <summary>The relay that this session is one side of; completes when nothing of it is left.</summary>
    public Task Running { get; set; } = Task.CompletedTask;

    /// <summary>Why the session ended, once <see cref="Running"/> has completed.</summary>
    public string EndDetail { get; set; } = "the session has ended";

    public bool HasRequestStreams => true;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        _cancellation = cancellationToken;
        cancellationToken.Register(() => End("closed"));
        return _ended.Task;
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        message.Kind == JsonRpcMessageKind.Response ? AnswerAsync(message) : SendOtherAsync(message, related);

    /// <summary>Ends the session: the client deleted it, or it was idle for too long.</summary>
    public void End(string reason) => _ended.TrySetResult(new(ConnectionEndReason.Closed, reason));

    public ValueTask DisposeAsync()
    {
        End("closed");
        List<RequestStream> streams;
        List<JsonRpcId> unanswered;
        lock (_gate)
        {
            unanswered = [.. _byRequest.Keys];
        }

        // Such as came after the relay had answered all there were.
        _ = AbandonAsync(unanswered);
        lock (_gate)
        {
            streams = [.. _byNumber.Values];
            _byNumber.Clear();
            _byRequest.Clear();
        }

        foreach (var stream in streams)
        {
            stream.Close();
        }

        _own.Close();
        _replay.Close();
        return ValueTask.CompletedTask;
    }

    /// <summary>Whether a client's <c>MCP-Protocol-Version</c> header is one that this session can have.</summary>
    public bool AcceptsVersion(string version) => version.Length == 0 || version == _protocolVersion || ProtocolVersions.IsLegacy(version);

    /// <summary>Takes the messages of a POST, which are its own from now on, and answers it.</summary>
    public async Task PostAsync(HttpContext context, PostedMessages messages, Accepted accepts)
    {
        var isInitialize = messages[0].Is("initialize"u8);
        var requests = RequestsOf(messages);
        if (requests.Count == 0)
        {
            Volatile.Write(ref _lastActivity, _time.GetTimestamp());
            if (await TryDeliverAsync(messages))
            {
                context.Response.StatusCode = StatusCodes.Status202Accepted;
            }
            else
            {
                await HttpReply.ErrorAsync(context, 404, default, JsonRpcErrorCode.SessionNotFound, HasEnded);
            }

            return;
        }

        if (isInitialize)
        {
            _initializeId = requests[0];
        }

        var stream = new RequestStream(Interlocked.Increment(ref _lastNumber), requests, _replay);
        if (_ended.Task.IsCompleted)
        {
            // It ended before this came: a server that could not be started, most likely.
            await Running;
            await HttpReply.ErrorAsync(context, isInitialize ? 200 : 404, requests[0], JsonRpcErrorCode.UpstreamUnavailable, EndDetail);
            return;
        }

        if (!TryRegister(stream, CollectionsMarshal.AsSpan(requests)))
        {
            await HttpReply.ErrorAsync(context, 400, requests[0], JsonRpcErrorCode.InvalidRequest, "Invalid request: a request with this id is in flight already");
            return;
        }

        var response = NewResponse(context, stream.LastSent, accepts);
        await using (response)
        {
            await stream.AttachAsync(response);
            using (Opened(response))
            {
                if (!await TryDeliverAsync(messages))
                {
                    await AbandonAsync(requests);
                }

                messages.Dispose();
                await response.Completed;
            }
        }

        if (isInitialize && response is { IsAborted: true, HasStarted: false })
        {
            // The client never learnt the session's id: nobody could use it or end it.
            End("the client gave up initialising");
        }
    }

    /// <summary>
    /// Takes the usual message, one request in a body that has come whole, and answers it: the same as <see cref="PostAsync"/>, without a copy of the body and without
    /// anybody who waits.
    /// </summary>
    /// <param name="context">The HTTP request.</param>
    /// <param name="request">The message, which stands in the body.</param>
    /// <param name="body">The body.</param>
    /// <param name="answered">Completes when it was answered, and never fails.</param>
    public bool TryAnswer(HttpContext context, in JsonRpcMessage request, UsualBody body, [NotNullWhen(true)] out Task? answered)
    {
        answered = null;
        var id = request.Id.Detach();
        var stream = new RequestStream(Interlocked.Increment(ref _lastNumber), id, _replay);
        if (_receiver is not { } receiver || !TryRegister(stream, id))
        {
            return false;
        }

        _serving.Requests.Enter();
        var response = NewResponse(context, stream.LastSent, new(Json: true, Events: true), _answered);

        // In this order: it may end as soon as it is watched, or known to the stream.
        Open(response);
        stream.Begin(response);
        response.Watch();
        var delivering = receiver.ReceiveAsync(request, default, _cancellation);
        if (delivering.IsCompletedSuccessfully)
        {
            body.End();
            answered = response.Completed;
        }
        else
        {
            answered = AnswerSlowlyAsync(delivering, id, response);
        }

        return true;
    }

    /// <summary>Opens the session's own stream, or takes a broken one up again.</summary>
    public async Task GetAsync(HttpContext context)
    {
        var (stream, after) = (_own, (long?)null);
        if (EventId.TryParse(context.Request.Headers[McpHeaders.LastEventId].ToString(), out var last))
        {
            after = last.Sequence;
            lock (_gate)
            {
                stream = last.Stream == 0 ? _own : _byNumber.GetValueOrDefault(last.Stream) ?? RequestStream.Finished(last.Stream, _replay);
            }
        }

        lock (_gate)
        {
            _unheard.RemoveAll(question => question.Stream == stream);
        }

        // The first event marks the place where the client comes in: what it has not got yet follows it.
        var first = after is { } sequenceSeen ? new EventId(stream.Number, sequenceSeen) : stream.LastSent;
        var response = NewResponse(context, first, new(Json: false, Events: true));
        await using (response)
        {
            using (Opened(response))
            {
                await response.StartEventsAsync();
                await stream.AttachAsync(response, after);
                await response.Completed;
            }
        }
    }

    /// <summary>Answers what the server has asked for too long without anyone to hear it, and ends the session when nobody uses it.</summary>
    public Task TickAsync()
    {
        List<JsonRpcId> unheard = [];
        bool idle;
        lock (_gate)
        {
            if (_unheard.Count > 0)
            {
                unheard.AddRange(_unheard.Where(question => _time.GetElapsedTime(question.Since) > s_unheardTimeout).Select(question => question.Id));
                _unheard.RemoveAll(question => unheard.Contains(question.Id));
            }

            // A request that nobody waits for keeps a session no longer than silence does.
            idle = Volatile.Read(ref _open) == 0 && _time.GetElapsedTime(Volatile.Read(ref _lastActivity)) > _serving.Options.SessionIdleTimeout;
        }

        var answering = unheard.Count > 0 ? AnswerUnheardAsync(unheard) : Task.CompletedTask;
        return idle ? EndAfterAsync(answering) : answering;
    }

    private async Task EndAfterAsync(Task last)
    {
        await last;
        End(IdleForTooLong);
    }

    private async Task AnswerUnheardAsync(List<JsonRpcId> unheard)
    {
        foreach (var id in unheard)
        {
            await _receiver!.ReceiveAsync(
                JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, "the client cannot be asked: it has no stream open"), default, _cancellation);
        }
    }

    private async ValueTask<bool> SendOtherAsync(JsonRpcMessage message, JsonRpcId related)
    {
        var withdrawn = message.CancelledRequest();
        if (!withdrawn.IsNone)
        {
            lock (_gate)
            {
                _unheard.RemoveAll(question => question.Id == withdrawn);
            }
        }

        if (Find(related) is { } stream)
        {
            NoteUnheard(message, stream);
            if (await stream.SendAsync(message))
            {
                return true;
            }
        }

        if (!_own.CanCarryEvents && AnyOpenStream() is { } other && await other.SendAsync(message))
        {
            return true;
        }

        NoteUnheard(message, _own);
        return await _own.SendAsync(message);
    }

    /// <summary>The body must stay where it is until the message was taken, whatever becomes of the response.</summary>
    private async Task AnswerSlowlyAsync(ValueTask delivering, JsonRpcId request, EventStream response)
    {
        try
        {
            await delivering;
        }
        catch (OperationCanceledException)
        {
            await AbandonAsync([request]);
        }

        await response.Completed;
    }

    private ValueTask<bool> AnswerAsync(JsonRpcMessage message)
    {
        RequestStream? stream;
        lock (_gate)
        {
            if (!_byRequest.Remove(message.Id, out stream))
            {
                return new(false);
            }
        }

        if (message.Id == _initializeId)
        {
            return AnswerInitializeAsync(message, stream);
        }

        var sending = stream.SendAsync(message);
        if (!sending.IsCompletedSuccessfully)
        {
            return AnsweredAsync(sending, stream);
        }

        Forget(stream);
        return sending;
    }

    private async ValueTask<bool> AnswerInitializeAsync(JsonRpcMessage message, RequestStream stream)
    {
        // Clients may use the id again.
        _initializeId = default;
        _initializeFailed = message.IsError;
        _protocolVersion = JsonMembers.AsString(JsonMembers.Find(message.Result, "protocolVersion"u8));
        var sent = await AnsweredAsync(stream.SendAsync(message), stream);
        if (message.IsError)
        {
            End("the server refused to initialise");
        }

        return sent;
    }

    private async ValueTask<bool> AnsweredAsync(ValueTask<bool> sending, RequestStream stream)
    {
        var sent = await sending;
        Forget(stream);
        return sent;
    }

    /// <summary>Remembers a question of the server that goes out on a stream which no client reads.</summary>
    private void NoteUnheard(in JsonRpcMessage message, RequestStream stream)
    {
        if (message.Kind == JsonRpcMessageKind.Request && !stream.CanCarryEvents)
        {
            lock (_gate)
            {
                _unheard.Add((message.Id.Detach(), stream, _time.GetTimestamp()));
            }
        }
    }

    /// <summary>Hands on what was posted; false when the session ends meanwhile.</summary>
    private async Task<bool> TryDeliverAsync(PostedMessages messages)
    {
        try
        {
            foreach (var message in messages)
            {
                await _receiver!.ReceiveAsync(message, default, _cancellation);
                var cancelled = message.CancelledRequest();
                RequestStream? stream = null;
                if (!cancelled.IsNone)
                {
                    lock (_gate)
                    {
                        _byRequest.Remove(cancelled, out stream);
                    }
                }

                if (stream is not null)
                {
                    await stream.CancelAsync(cancelled);
                    Forget(stream);
                }
            }

            return true;
        }
        catch (OperationCanceledException) when (_cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>Answers requests that came too late for the session's end to answer them.</summary>
    private async Task AbandonAsync(List<JsonRpcId> requests)
    {
        foreach (var id in requests)
        {
            await AnswerAsync(JsonRpcWriter.Error(id, JsonRpcErrorCode.SessionNotFound, HasEnded));
        }
    }

    private void NameSession(HttpResponse response)
    {
        if (!_initializeFailed)
        {
            response.Headers[McpHeaders.SessionId] = Id;
        }
    }

    private EventStream NewResponse(HttpContext context, EventId first, Accepted accepts, Action<EventStream>? ended = null) => new(context, _time, _serving.Options.ContinuesInline, ended)
    {
        AcceptsJson = accepts.Json,
        AcceptsEvents = accepts.Events,
        StartsEventsEarly = _protocolVersion is not null,
        Starting = _starting,

        // Clients of older revisions take an event without data for a broken message.
        FirstEventId = _protocolVersion is { } version && string.CompareOrdinal(version, "2025-11-25") >= 0 ? first : null,
    };

    private OpenedResponse Opened(EventStream response)
    {
        Open(response);
        return new(this, response);
    }

    private void Open(EventStream response)
    {
        Interlocked.Increment(ref _open);
        _serving.OpenStreams.Add(response);
    }

    private void Answered(EventStream response)
    {
        Closed(response);
        _serving.Requests.Leave();
    }

    private void Closed(EventStream response)
    {
        _serving.OpenStreams.Remove(response);

        // In this order: who finds nothing open finds since when.
        Volatile.Write(ref _lastActivity, _time.GetTimestamp());
        Interlocked.Decrement(ref _open);
    }

    private static List<JsonRpcId> RequestsOf(PostedMessages messages)
    {
        var requests = new List<JsonRpcId>(messages.Count);
        for (var i = 0; i < messages.Count; i++)
        {
            if (messages[i].Kind == JsonRpcMessageKind.Request)
            {
                requests.Add(messages[i].Id.Detach());
            }
        }

        return requests;
    }

    private bool TryRegister(RequestStream stream, params ReadOnlySpan<JsonRpcId> requests)
    {
        lock (_gate)
        {
            if (_ended.Task.IsCompleted)
            {
                return false;
            }

            for (var added = 0; added < requests.Length; added++)
            {
                if (!_byRequest.TryAdd(requests[added], stream))
                {
                    // In flight already, or twice in this batch.
                    foreach (var id in requests[..added])
                    {
                        _byRequest.Remove(id);
                    }

                    return false;
                }
            }

            _byNumber.Add(stream.Number, stream);
            return true;
        }
    }

    private void Forget(RequestStream stream)
    {
        if (stream.IsFinished)
        {
            lock (_gate)
            {
                _byNumber.Remove(stream.Number);
            }
        }
    }

    private RequestStream? Find(JsonRpcId request)
    {
        lock (_gate)
        {
            return request.IsNone ? null : _byRequest.GetValueOrDefault(request);
        }
    }

    private RequestStream? AnyOpenStream()
    {
        lock (_gate)
        {
            return _byNumber.Values.FirstOrDefault(stream => stream.CanCarryEvents);
        }
    }

    private readonly struct OpenedResponse(StreamableHttpSession session, EventStream response) : IDisposable
    {
        public void Dispose() => session.Closed(response);
    }
}
