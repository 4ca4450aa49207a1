using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras.LegacyClient;

/// <summary>
/// Makes a modern server look to a legacy client like one of its own era: keeps for the session what the client says once,
/// and says it anew with each request.
/// </summary>
internal sealed partial class LegacyClientStage : IConnection, IMessageReceiver
{
    private const int MaxRounds = 10;

    /// <summary>How long to wait before a call is repeated that the server only wants to be asked again.</summary>
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(500);

    private readonly BridgeContext _context;
    private readonly OpenConnection _server;
    private readonly JsonRpcMessage _initialize;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, CallOfClient> _byClientId = [];
    private readonly Dictionary<JsonRpcId, CallOfClient> _byUpstreamId = [];
    private readonly Dictionary<JsonRpcId, CallOfClient> _byQuestion = [];
    private readonly Dictionary<JsonRpcId, TaskCompletionSource<JsonRpcMessage>> _asked = [];
    private readonly ListenStream _listen;
    private ModernRequest _identity;
    private JsonRpcMessage _discovered;
    private ReadOnlyMemory<byte> _logLevel;
    private IMessageReceiver? _receiver;
    private long _lastId;
    private int _disposed;

    /// <param name="context">The bridge.</param>
    /// <param name="server">The connection to the server, which this owns from now on.</param>
    /// <param name="initialize">The client's first request.</param>
    /// <param name="discovered">The server's answer to <c>server/discover</c>: a result, or an error that names other versions.</param>
    public LegacyClientStage(BridgeContext context, OpenConnection server, JsonRpcMessage initialize, JsonRpcMessage discovered)
    {
        _context = context;
        _server = server;
        _initialize = initialize;
        _discovered = discovered;
        _identity = ModernRequest.Of(initialize, VersionOf(discovered) ?? Revision.Modern);
        _listen = new(this, context);
        ProxyMeter.BridgeSession(BridgeDirection.LegacyToModern, 1);
    }

    public bool HasRequestStreams => _server.HasRequestStreams;

    public Task Gone => _server.Gone;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        return _server.RunAsync(this, cancellationToken);
    }

    public void EndOfInput() => _server.EndOfInput();

    /// <summary>Answers the client's <c>initialize</c>.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (_discovered.IsError)
        {
            // A server of a later revision: it is asked in its own.
            _discovered = await AskAsync("\"server/discover\""u8.ToArray(), "{}"u8.ToArray(), cancellationToken);
        }

        if (_discovered.IsError)
        {
            await ToClientAsync(JsonSplice.WithId(_discovered, _initialize.Id), _initialize.Id);
            return;
        }

        _identity = _identity with { Version = VersionOf(_discovered) ?? _identity.Version };
        await ToClientAsync(InitializeAnswer.From(_initialize, _discovered, _context.Upstream.Name), _initialize.Id);
    }

    /// <summary>The server that told of changes is no more.</summary>
    public void StopListening() => _listen.Stop();

    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Request:
                return await RequestAsync(message, cancellationToken);
            case JsonRpcMessageKind.Response:
                await TakeAnswerAsync(message, cancellationToken);
                return true;
        }

        if (message.Is("notifications/initialized"u8))
        {
            _listen.Start(JsonMembers.Find(_discovered.Result, "capabilities"u8));
            return true;
        }

        if (message.CancelledRequest() is { IsNone: false } cancelled)
        {
            await CancelAsync(cancelled, message, cancellationToken);
            return true;
        }

        LogNotExpressible(_context.Logger, message);
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        ProxyMeter.BridgeSession(BridgeDirection.LegacyToModern, -1);
        await _closing.CancelAsync();
        lock (_gate)
        {
            foreach (var call in _byClientId.Values)
            {
                call.Unpark(ParkedOutcome.Cancelled);
            }
        }

        _listen.Dispose();
        await _server.DisposeAsync();
        _closing.Dispose();
    }

    async ValueTask IMessageReceiver.ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Response:
                await AnsweredAsync(message, cancellationToken);
                break;
            case JsonRpcMessageKind.Request:
                // No server of the modern era asks: it says what it needs in its answer.
                await _server.SendAsync(JsonRpcWriter.Error(message.Id, JsonRpcErrorCode.MethodNotFound, "a client of this protocol version takes no requests"), default, cancellationToken);
                break;
            default:
                if (message.SubscriptionId() is { IsNone: false } subscription)
                {
                    await _listen.NotifiedAsync(message, subscription, cancellationToken);
                }
                else if (message.CancelledRequest() is { IsNone: false } torn)
                {
                    // The revision that lets a server do this lets it do so to a subscription only.
                    _listen.Ended(torn, isFinal: false);
                }
                else
                {
                    await _receiver!.ReceiveAsync(message, ClientIdOf(related), cancellationToken);
                }

                break;
        }
    }

    async ValueTask IMessageReceiver.FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
    {
        if (fault.IsResponse && !fault.Id.IsNone)
        {
            await AnsweredAsync(JsonRpcWriter.Error(fault.Id, JsonRpcErrorCode.InternalError, $"the answer cannot be passed on: {fault.Message}"), cancellationToken);
        }
        else
        {
            await _receiver!.FaultAsync(fault, cancellationToken);
        }
    }

    async ValueTask IMessageReceiver.AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        _listen.Ended(default, isFinal: false);
        List<CallOfClient> calls;
        List<TaskCompletionSource<JsonRpcMessage>> asked;
        lock (_gate)
        {
            calls = [.. _byUpstreamId.Values];
            asked = [.. _asked.Values];
        }

        asked.ForEach(question => question.TrySetResult(JsonRpcWriter.Error(default, JsonRpcErrorCode.UpstreamUnavailable, reason)));
        foreach (var call in calls)
        {
            await FinishAsync(call, JsonRpcWriter.Error(call.Request.Id, JsonRpcErrorCode.UpstreamUnavailable, reason));
        }
    }

    /// <summary>Sends a request of the proxy's own, and gives back the answer.</summary>
    internal async Task<JsonRpcMessage> AskAsync(ReadOnlyMemory<byte> method, ReadOnlyMemory<byte> parameters, CancellationToken cancellationToken)
    {
        var id = NewId();
        var answer = new TaskCompletionSource<JsonRpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            _asked[id] = answer;
        }

        try
        {
            return await _server.SendAsync(_identity.Own(id, method.Span, parameters), default, cancellationToken)
                ? await answer.Task.WaitAsync(cancellationToken)
                : JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, "the server is gone");
        }
        finally
        {
            lock (_gate)
            {
                _asked.Remove(id);
            }
        }
    }

    /// <summary>Opens a listen stream; the answer, which ends it, goes to <see cref="ListenStream.Ended"/>.</summary>
    internal async Task<JsonRpcId> ListenAsync(ReadOnlyMemory<byte> filter, Action<JsonRpcId> opening, CancellationToken cancellationToken)
    {
        var id = NewId();
        opening(id);
        await _server.SendAsync(_identity.Own(id, "\"subscriptions/listen\""u8, filter), default, cancellationToken);
        return id;
    }

    /// <summary>Closes a listen stream: over HTTP that closes its response, over stdio the server is told.</summary>
    internal async Task CloseListenAsync(JsonRpcId id, CancellationToken cancellationToken) =>
        await _server.SendAsync(JsonRpcWriter.Cancelled(id, "the subscription has changed"), default, cancellationToken);

    /// <summary>Sends the client something of the session's own stream, or of a request's.</summary>
    internal async Task ToClientAsync(JsonRpcMessage message, JsonRpcId related)
    {
        try
        {
            await _receiver!.ReceiveAsync(message, related, _closing.Token);
        }
        catch (OperationCanceledException)
        {
            // The session is closing, and answers what is left.
        }
    }

    private static string? VersionOf(in JsonRpcMessage discovered)
    {
        var modern = ProbeOutcome.VersionsOf(discovered).Where(Revision.IsModern).ToList();
        return modern.Contains(Revision.Modern) ? Revision.Modern : modern.Order(StringComparer.Ordinal).FirstOrDefault();
    }

    private JsonRpcId NewId() => JsonRpcId.FromJson(Encoding.UTF8.GetBytes($"\"mcp-proxy/{Interlocked.Increment(ref _lastId)}\""));

    private JsonRpcId ClientIdOf(JsonRpcId upstreamId)
    {
        lock (_gate)
        {
            return _byUpstreamId.GetValueOrDefault(upstreamId)?.Request.Id ?? upstreamId;
        }
    }

    private async ValueTask<bool> RequestAsync(JsonRpcMessage request, CancellationToken cancellationToken)
    {
        if (request.Is("initialize"u8))
        {
            await ToClientAsync(InitializeAnswer.From(request, _discovered, _context.Upstream.Name), request.Id);
            return true;
        }

        if (request.Is("ping"u8))
        {
            await ToClientAsync(MessageEdit.Result(request.Id, "{}"u8), request.Id);
            return true;
        }

        if (request.Is("logging/setLevel"u8))
        {
            await SetLevelAsync(request);
            return true;
        }

        if (request.Is("resources/subscribe"u8) || request.Is("resources/unsubscribe"u8))
        {
            await SubscribeAsync(request.Detach());
            return true;
        }

        if (!ModernRequest.CanCarry(request))
        {
            await ToClientAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidParams, "Invalid params: \"params\" must be an object"), request.Id);
            return true;
        }

        var call = new CallOfClient(request.Detach(), _logLevel);
        lock (_gate)
        {
            _byClientId[call.Request.Id] = call;
            _byUpstreamId[call.UpstreamId] = call;
        }

        return await _server.SendAsync(_identity.From(request, call.LogLevel), default, cancellationToken);
    }

    private Task SetLevelAsync(JsonRpcMessage request)
    {
        var level = JsonMembers.Find(request.Params, "level"u8);
        if (JsonMembers.AsString(level) is not ("debug" or "info" or "notice" or "warning" or "error" or "critical" or "alert" or "emergency"))
        {
            return ToClientAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidParams, "Invalid params: \"level\" must be debug, info, notice, warning, error, critical, alert or emergency"), request.Id);
        }

        _logLevel = level.ToArray();
        return ToClientAsync(MessageEdit.Result(request.Id, "{}"u8), request.Id);
    }

    private Task SubscribeAsync(JsonRpcMessage request)
    {
        if (JsonMembers.AsString(JsonMembers.Find(request.Params, "uri"u8)) is not { } uri)
        {
            return ToClientAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidParams, "Invalid params: \"uri\" must be a string"), request.Id);
        }

        // The server's acknowledgement is waited for, and nothing that the client says meanwhile has to wait for that.
        _ = _listen.ChangeAsync(uri, isAdded: request.Is("resources/subscribe"u8), request.Id);
        return Task.CompletedTask;
    }

    /// <summary>The server has answered something.</summary>
    private async Task AnsweredAsync(JsonRpcMessage response, CancellationToken cancellationToken)
    {
        CallOfClient? call;
        lock (_gate)
        {
            if (_asked.TryGetValue(response.Id, out var asked))
            {
                asked.TrySetResult(response.Detach());
                return;
            }

            _byUpstreamId.TryGetValue(response.Id, out call);
        }

        if (call is null)
        {
            if (_listen.Ended(response.Id, isFinal: response.ErrorCode() is JsonRpcErrorCode.MethodNotFound or JsonRpcErrorCode.InvalidParams))
            {
                return;
            }

            await _receiver!.ReceiveAsync(response, response.Id, cancellationToken);
        }
        else if (!response.IsError && LegacyResult.IsInputRequired(response))
        {
            await AskClientAsync(call, response);
        }
        else
        {
            await FinishAsync(call, LegacyResult.From(response, call.Request.Id));
        }
    }

    /// <summary>The server needs input: the client is asked, everything at once.</summary>
    private async Task AskClientAsync(CallOfClient call, JsonRpcMessage response)
    {
        if (InputQuestion.AllOf(response) is not { } questions)
        {
            await FailAsync(call, JsonRpcErrorCode.InternalError, "the server asks for input that is no request");
            return;
        }

        if (++call.Rounds > MaxRounds)
        {
            await FailAsync(call, JsonRpcErrorCode.InternalError, $"the server has asked for input {MaxRounds} times and is still not done");
            return;
        }

        call.RequestState = JsonMembers.Find(response.Result, "requestState"u8).ToArray();
        if (questions.Find(question => question.MissingCapability(_identity.ClientCapabilities) is not null) is { } impossible)
        {
            await FailAsync(call, JsonRpcErrorCode.InvalidParams, $"the server asks for something that the client has not declared to be capable of: {impossible.MissingCapability(_identity.ClientCapabilities)}");
            return;
        }

        if (questions.Count == 0)
        {
            _ = RepeatLaterAsync(call);
            return;
        }

        List<JsonRpcMessage> requests = [];
        lock (_gate)
        {
            if (call.IsOver)
            {
                return;
            }

            foreach (var question in questions)
            {
                var id = NewId();
                call.Questions.Add(id, question);
                _byQuestion.Add(id, call);
                requests.Add(question.ToRequest(id));
            }

            call.Park();
        }

        foreach (var request in requests)
        {
            await ToClientAsync(request, call.Request.Id);
        }
    }

    private async Task RepeatLaterAsync(CallOfClient call)
    {
        try
        {
            await Task.Delay(s_pause, _context.Time, _closing.Token);
            await RepeatAsync(call, default);
        }
        catch (OperationCanceledException)
        {
            // Closing.
        }
    }

    /// <summary>The client has answered one of the questions.</summary>
    private async Task TakeAnswerAsync(JsonRpcMessage response, CancellationToken cancellationToken)
    {
        CallOfClient? call;
        ReadOnlyMemory<byte> answers;
        lock (_gate)
        {
            if (!_byQuestion.Remove(response.Id, out call) || call.IsOver)
            {
                return;
            }

            if (!response.IsError)
            {
                call.Questions[response.Id].Answer = response.Result.ToArray();
                if (call.Questions.Values.Any(question => question.Answer.IsEmpty))
                {
                    return;
                }

                answers = InputQuestion.Answers(call.Questions.Values);
                call.Unpark(call.Questions.Values.Any(question => InputAnswer.IsRefusal(question.Answer)) ? ParkedOutcome.Refused : ParkedOutcome.Answered);
                call.Questions.Clear();
            }
            else
            {
                answers = default;
                call.Questions.Remove(response.Id);
            }
        }

        if (response.IsError)
        {
            await FinishAsync(call, JsonSplice.WithId(response, call.Request.Id), ParkedOutcome.Refused);
            return;
        }

        await RepeatAsync(call, answers, cancellationToken);
    }

    private async Task RepeatAsync(CallOfClient call, ReadOnlyMemory<byte> answers, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            if (call.IsOver)
            {
                return;
            }

            _byUpstreamId.Remove(call.UpstreamId);
            call.UpstreamId = NewId();
            _byUpstreamId.Add(call.UpstreamId, call);
        }

        var again = _identity.Again(call.Request, call.LogLevel, call.UpstreamId, answers, call.RequestState);
        ValueTask<bool> sending = default;
        if (call.Origin is { } origin)
        {
            ExecutionContext.Run(origin, _ => sending = _server.SendAsync(again, default, cancellationToken), null);
        }
        else
        {
            sending = _server.SendAsync(again, default, cancellationToken);
        }

        await sending;
    }

    private async Task CancelAsync(JsonRpcId cancelled, JsonRpcMessage notification, CancellationToken cancellationToken)
    {
        CallOfClient? call;
        bool isWithServer;
        lock (_gate)
        {
            if (!_byClientId.TryGetValue(cancelled, out call))
            {
                return;
            }

            isWithServer = call.Questions.Count == 0;
        }

        await WithdrawAsync(call, ParkedOutcome.Cancelled);
        if (isWithServer)
        {
            var requestId = JsonSplice.RangeOf(notification.Utf8, JsonMembers.Find(notification.Params, "requestId"u8));
            await _server.SendAsync(JsonSplice.Reparse(JsonSplice.Apply(notification.Utf8, (requestId, call.UpstreamId.Utf8Text))), default, cancellationToken);
        }
    }

    private Task FailAsync(CallOfClient call, int code, string message) => FinishAsync(call, JsonRpcWriter.Error(call.Request.Id, code, message));

    private async Task FinishAsync(CallOfClient call, JsonRpcMessage answer, ParkedOutcome outcome = ParkedOutcome.ServerGone)
    {
        if (await WithdrawAsync(call, outcome))
        {
            await ToClientAsync(answer, call.Request.Id);
        }
    }

    /// <summary>Forgets a call, and takes back what the client is still being asked for it.</summary>
    /// <param name="call">The call.</param>
    /// <param name="outcome">What has become of the questions, if there are any.</param>
    /// <returns>False when that had happened already.</returns>
    private async Task<bool> WithdrawAsync(CallOfClient call, ParkedOutcome outcome)
    {
        List<JsonRpcId> open;
        lock (_gate)
        {
            if (call.IsOver)
            {
                return false;
            }

            call.IsOver = true;
            call.Unpark(outcome);
            if (_byClientId.GetValueOrDefault(call.Request.Id) == call)
            {
                _byClientId.Remove(call.Request.Id);
            }

            _byUpstreamId.Remove(call.UpstreamId);
            open = [.. call.Questions.Where(question => question.Value.Answer.IsEmpty).Select(question => question.Key)];
            call.Questions.Clear();
            open.ForEach(id => _byQuestion.Remove(id));
        }

        foreach (var id in open)
        {
            await ToClientAsync(JsonRpcWriter.Cancelled(id, "the call that it was asked for is over"), call.Request.Id);
        }

        return true;
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Not passed on, the server's era has no such thing: {Message}")]
    private static partial void LogNotExpressible(ILogger logger, JsonRpcMessage message);
}
