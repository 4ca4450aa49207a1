using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras.ModernClient;

/// <summary>
/// A session with a legacy server that serves the requests of one modern client: opened when the first comes, kept while
/// there are some, closed when there have been none for a while.
/// </summary>
internal sealed partial class LegacySession : IMessageReceiver, IAsyncDisposable
{
    /// <summary>How long questions are gathered that a server asks at once, one after the other.</summary>
    private static readonly TimeSpan s_gathering = TimeSpan.FromMilliseconds(10);

    /// <summary>What a server sends in place of a result when the user has to go to a page first (MCP 2025-11-25).</summary>
    private const int UrlElicitationRequired = -32042;

    private readonly BridgeContext _context;
    private readonly SessionKey _key;
    private readonly OpenConnection _server;
    private readonly WaitingCalls _waiting;
    private readonly Action<LegacySession> _ended;
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource<JsonRpcMessage> _introduction = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<ConnectionEnd> _end = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _control = new(1, 1);
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, CallToServer> _calls = [];
    private readonly Dictionary<JsonRpcId, TaskCompletionSource<JsonRpcMessage>> _asked = [];
    private readonly List<ListenRequest> _listeners = [];
    private readonly Dictionary<string, int> _watched = new(StringComparer.Ordinal);
    private readonly ReadOnlyMemory<byte> _clientCapabilities;
    private ReadOnlyMemory<byte> _capabilities;
    private ReadOnlyMemory<byte> _serverInfo;
    private ITimer? _idle;
    private long _lastId;
    private int _leases;
    private int _logRank = -1;
    private bool _isRetired;
    private bool _isClosing;
    private Task? _disposing;

    /// <param name="context">The bridge.</param>
    /// <param name="key">Whose session it is.</param>
    /// <param name="server">The connection, which this owns from now on.</param>
    /// <param name="waiting">Where calls wait for their clients.</param>
    /// <param name="ended">Called when the session takes no more requests.</param>
    public LegacySession(BridgeContext context, SessionKey key, OpenConnection server, WaitingCalls waiting, Action<LegacySession> ended)
    {
        _context = context;
        _key = key;
        _server = server;
        _waiting = waiting;
        _ended = ended;
        _clientCapabilities = Encoding.UTF8.GetBytes(key.Capabilities);
    }

    public SessionKey Key => _key;

    /// <summary>The server's answer to <c>initialize</c>; an error when there is none.</summary>
    public Task<JsonRpcMessage> Introduction => _introduction.Task;

    /// <summary>Completes with the end of the connection.</summary>
    public Task<ConnectionEnd> Ended => _end.Task;

    /// <summary>When it was used last, while nobody uses it; null while somebody does.</summary>
    public long? IdleSince { get; private set; }

    /// <summary>Opens the session.</summary>
    public void Start()
    {
        ProxyMeter.BridgeSession(BridgeDirection.ModernToLegacy, 1);
        _server.GiveTo(this);
        _ = IntroduceAsync();
        _ = WatchEndAsync();
    }

    /// <summary>Keeps the session from being closed. False when it is closed already.</summary>
    public bool TryLease()
    {
        lock (_gate)
        {
            if (_isClosing || _isRetired)
            {
                return false;
            }

            _leases++;
            IdleSince = null;
            return true;
        }
    }

    /// <summary>Ends what <see cref="TryLease"/> began.</summary>
    public void Release()
    {
        lock (_gate)
        {
            _leases--;
            NoteIdle();
        }
    }

    /// <summary>Closes the session if nobody uses it.</summary>
    public bool TryClose()
    {
        lock (_gate)
        {
            if (_isClosing || !IsIdle)
            {
                return false;
            }

            _isClosing = true;
        }

        _ended(this);
        _ = DisposeAsync().AsTask();
        return true;
    }

    /// <summary>Takes no more requests, and closes the session once those that there are were answered.</summary>
    public void Retire()
    {
        lock (_gate)
        {
            _isRetired = true;
        }

        TryClose();
    }

    /// <summary>Closes the session whoever uses it.</summary>
    public ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _isClosing = true;
            _idle?.Dispose();
            return new(_disposing ??= CloseAsync());
        }
    }

    /// <summary>The answer to a client's <c>server/discover</c>.</summary>
    public async Task<JsonRpcMessage> DiscoveredAsync(JsonRpcId id) => ModernResult.Discovered(await _introduction.Task, id);

    /// <summary>Passes a client's request on; its answer comes later.</summary>
    public async Task ForwardAsync(ClientRequest request)
    {
        await SetLogLevelAsync(request);
        CallToServer call;
        string? end;
        lock (_gate)
        {
            call = new(JsonRpcId.FromNumber(++_lastId), _lastId, request);
            end = _end.Task.IsCompletedSuccessfully ? "the server is gone" : null;
            if (end is null)
            {
                _calls.Add(call.UpstreamId, call);
            }
        }

        if (end is not null)
        {
            await request.AnswerAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.UpstreamUnavailable, end));
            return;
        }

        // What fails to be sent is answered by the end that makes it fail.
        await _server.SendAsync(LegacyRequest.From(request.Message, call.UpstreamId), default, _closing.Token);
        await request.GiveToAsync(() => CancelAsync(call, request));
    }

    /// <summary>Takes up a call whose client has looked for answers.</summary>
    /// <param name="call">The call.</param>
    /// <param name="round">The round of questions that the answers are for.</param>
    /// <param name="request">The client's request that brings the answers.</param>
    /// <returns>False when the answers to these questions were given already, or are not wanted any more.</returns>
    public async Task<bool> ResumeAsync(CallToServer call, int round, ClientRequest request)
    {
        await SetLogLevelAsync(request);
        List<(ServerQuestion Question, ReadOnlyMemory<byte> Answer)> answers = [];
        lock (_gate)
        {
            if (call.IsOver || call.Waiting is not null || call.Round != round)
            {
                return false;
            }

            call.Expiry?.Dispose();
            call.Waiting = request;
            call.Round++;
            var given = new ObjectEdit(JsonMembers.Find(request.Message.Params, "inputResponses"u8));
            answers.AddRange(call.Questions.Select(question => (question, given.Find(question.Key))).Where(pair => !pair.Item2.IsEmpty));
            call.Questions.RemoveAll(question => answers.Exists(pair => pair.Question == question));
            _waiting.Remove(call, call.IsAbandoned ? ParkedOutcome.ServerGone : answers.Exists(pair => InputAnswer.IsRefusal(pair.Answer)) ? ParkedOutcome.Refused : ParkedOutcome.Answered);
        }

        foreach (var (question, answer) in answers.Where(pair => !pair.Question.Id.IsNone))
        {
            await _server.SendAsync(MessageEdit.Result(question.Id, answer.Span), default, _closing.Token);
        }

        await request.GiveToAsync(() => CancelAsync(call, request));
        if (answers.Exists(pair => pair.Question.Id.IsNone) && await CallAgainAsync(call, request, answers))
        {
            return true;
        }

        JsonRpcMessage? outcome;
        bool isAskedAgain;
        lock (_gate)
        {
            outcome = call.Outcome;
            isAskedAgain = outcome is null && call.Waiting == request && call.Questions.Count > 0;
            call.IsOver |= outcome is not null;
            NoteIdle();
        }

        if (outcome is { } answered)
        {
            await request.AnswerAsync(ModernResult.From(answered, request.Id, call.Method, _serverInfo));
        }
        else if (isAskedAgain)
        {
            AskClient(call);
        }

        return true;
    }

    /// <summary>Tells a client of changes from now on.</summary>
    public async Task ListenAsync(ClientRequest request)
    {
        var listener = new ListenRequest(request, _capabilities);
        await _control.WaitAsync(_closing.Token);
        try
        {
            foreach (var uri in listener.Uris.ToList())
            {
                if (_watched.GetValueOrDefault(uri) == 0 && (await AskAsync("\"resources/subscribe\""u8.ToArray(), UriParams(uri))).IsError)
                {
                    listener.Uris.Remove(uri);
                }
                else
                {
                    _watched[uri] = _watched.GetValueOrDefault(uri) + 1;
                }
            }
        }
        finally
        {
            _control.Release();
        }

        lock (_gate)
        {
            _listeners.Add(listener);
        }

        listener.Acknowledge();
        listener.IsAcknowledged = true;
        await request.GiveToAsync(() => UnlistenAsync(listener));
        if (_end.Task.IsCompleted)
        {
            await listener.CloseAsync();
        }
    }

    async ValueTask IMessageReceiver.ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Response:
                Answered(message.Detach());
                break;
            case JsonRpcMessageKind.Request:
                await AskedAsync(message, related, cancellationToken);
                break;
            default:
                Notified(message, related);
                break;
        }
    }

    async ValueTask IMessageReceiver.FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
    {
        if (!fault.Id.IsNone && fault.IsResponse)
        {
            Answered(JsonRpcWriter.Error(fault.Id.Detach(), JsonRpcErrorCode.InternalError, $"the answer cannot be passed on: {fault.Message}"));
        }
        else if (!fault.IsResponse)
        {
            await _server.SendAsync(JsonRpcWriter.Error(fault), default, cancellationToken);
        }
    }

    ValueTask IMessageReceiver.AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        Abandon(reason);
        return ValueTask.CompletedTask;
    }

    private async Task CloseAsync()
    {
        // Started under the lock.
        await Task.Yield();
        ProxyMeter.BridgeSession(BridgeDirection.ModernToLegacy, -1);
        await _closing.CancelAsync();
        await _server.DisposeAsync();
    }

    private bool IsIdle => _calls.Count == 0 && _listeners.Count == 0 && _leases == 0;

    private static byte[] UriParams(string uri) => [.. "{\"uri\":"u8, .. ObjectEdit.Quoted(uri), (byte)'}'];

    private async Task IntroduceAsync()
    {
        try
        {
            var answer = await AskAsync("\"initialize\""u8.ToArray(), default);
            if (!answer.IsError)
            {
                _capabilities = JsonMembers.Find(answer.Result, "capabilities"u8);
                _serverInfo = JsonMembers.Find(answer.Result, "serverInfo"u8);
                _context.Facts.LearnLegacyOnly();
                await _server.SendAsync(MessageEdit.Notification("\"notifications/initialized\""u8, default), default, _closing.Token);
                LogOpened(_context.Logger, _context.Upstream.Name);
                _introduction.TrySetResult(answer);
                return;
            }

            LogRefused(_context.Logger, _context.Upstream.Name);
            _context.Facts.Forget();
            lock (_gate)
            {
                _isClosing = true;
            }

            _ended(this);
            _introduction.TrySetResult(answer);
            await DisposeAsync();
        }
        catch (OperationCanceledException)
        {
            _introduction.TrySetResult(JsonRpcWriter.Error(default, JsonRpcErrorCode.UpstreamUnavailable, "the session is closing"));
        }
    }

    private async Task WatchEndAsync()
    {
        ConnectionEnd end;
        try
        {
            end = await _server.Ended;
        }
        catch (Exception e)
        {
            LogDefect(_context.Logger, e, _context.Upstream.Name);
            end = new(ConnectionEndReason.TransportFailed, "the proxy failed to read the server");
        }

        lock (_gate)
        {
            _isClosing = true;
            _end.TrySetResult(end);
        }

        _ended(this);
        LogEnded(_context.Logger, _context.Upstream.Name, end.Detail);
        Abandon(end.Detail);
        List<ListenRequest> listeners;
        lock (_gate)
        {
            listeners = [.. _listeners];
            _listeners.Clear();
        }

        foreach (var listener in listeners)
        {
            _ = listener.CloseAsync();
        }

        await DisposeAsync();
    }

    /// <summary>What was asked will not be answered.</summary>
    private void Abandon(string reason)
    {
        List<(ClientRequest Request, CallToServer Call)> waiting = [];
        List<TaskCompletionSource<JsonRpcMessage>> asked;
        var error = JsonRpcWriter.Error(default, JsonRpcErrorCode.UpstreamUnavailable, reason);
        lock (_gate)
        {
            foreach (var call in _calls.Values)
            {
                if (call.Waiting is { } request)
                {
                    call.IsOver = true;
                    waiting.Add((request, call));
                }
                else
                {
                    // Its client hears of it when it comes back with the answers.
                    call.Outcome = error;
                    call.IsAbandoned = true;
                    call.Questions.Clear();
                }
            }

            _calls.Clear();
            asked = [.. _asked.Values];
            NoteIdle();
        }

        asked.ForEach(question => question.TrySetResult(error));
        foreach (var (request, _) in waiting)
        {
            _ = request.AnswerAsync(JsonSplice.WithId(error, request.Id));
        }
    }

    /// <summary>Starts to count how long nobody uses the session. Under the lock.</summary>
    private void NoteIdle()
    {
        if (!IsIdle || _isClosing)
        {
            return;
        }

        IdleSince = _context.Time.GetTimestamp();
        _idle ??= _context.Time.CreateTimer(_ => CloseIfIdle(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _idle.Change(_isRetired ? TimeSpan.Zero : _context.Options.IdleTimeout, Timeout.InfiniteTimeSpan);
    }

    private void CloseIfIdle()
    {
        if (_isRetired || (IdleSince is { } since && _context.Time.GetElapsedTime(since) >= _context.Options.IdleTimeout))
        {
            TryClose();
        }
    }

    /// <summary>Sends a request of the proxy's own, and gives back the answer.</summary>
    private async Task<JsonRpcMessage> AskAsync(ReadOnlyMemory<byte> method, ReadOnlyMemory<byte> parameters)
    {
        var answer = new TaskCompletionSource<JsonRpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        JsonRpcId id;
        lock (_gate)
        {
            id = JsonRpcId.FromNumber(++_lastId);
            _asked[id] = answer;
        }

        try
        {
            var request = method.Span.SequenceEqual("\"initialize\""u8)
                ? LegacyRequest.Initialize(id, Encoding.UTF8.GetBytes(_key.ClientInfo), _clientCapabilities)
                : MessageEdit.Request(id, method.Span, parameters.Span);
            await _server.SendAsync(request, default, _closing.Token);
            if (_end.Task.IsCompleted)
            {
                answer.TrySetResult(JsonRpcWriter.Error(default, JsonRpcErrorCode.UpstreamUnavailable, (await _end.Task).Detail));
            }

            return await answer.Task.WaitAsync(_closing.Token);
        }
        finally
        {
            lock (_gate)
            {
                _asked.Remove(id);
            }
        }
    }

    /// <summary>Has the server send the log messages that a request asks for; what it sends besides goes to nobody.</summary>
    private async Task SetLogLevelAsync(ClientRequest request)
    {
        if (request.LogRank < 0 || _end.Task.IsCompleted || JsonMembers.Find(_capabilities, "logging"u8).IsEmpty)
        {
            return;
        }

        await _control.WaitAsync(_closing.Token);
        try
        {
            int rank;
            lock (_gate)
            {
                // The least severe that anybody asks for now.
                rank = _calls.Values.Select(call => call.Waiting?.LogRank ?? -1).Where(other => other >= 0).Append(request.LogRank).Min();
                if (rank == _logRank)
                {
                    return;
                }

                _logRank = rank;
            }

            await AskAsync("\"logging/setLevel\""u8.ToArray(), Encoding.UTF8.GetBytes($"{{\"level\":\"{LogSeverity.LevelOf(rank)}\"}}"));
        }
        finally
        {
            _control.Release();
        }
    }

    /// <summary>The server has answered something.</summary>
    private void Answered(JsonRpcMessage response)
    {
        CallToServer? call;
        ClientRequest? request;
        var asksForUrl = false;
        lock (_gate)
        {
            if (_asked.TryGetValue(response.Id, out var asked))
            {
                asked.TrySetResult(response);
                return;
            }

            if (!_calls.Remove(response.Id, out call))
            {
                return;
            }

            request = call.Waiting;
            if (request is null)
            {
                call.Outcome = response;
            }
            else if (response.ErrorCode() == UrlElicitationRequired && call.MayAsk && TakeUrls(call, response))
            {
                asksForUrl = true;
            }
            else
            {
                call.IsOver = true;
                call.Questions.Clear();
            }

            NoteIdle();
        }

        if (asksForUrl)
        {
            AskClient(call);
        }
        else if (request is not null)
        {
            _ = request.AnswerAsync(ModernResult.From(response, request.Id, call.Method, _serverInfo));
        }
    }

    /// <summary>Makes questions of the pages that the user has to go to. Under the lock.</summary>
    private bool TakeUrls(CallToServer call, in JsonRpcMessage response)
    {
        var elicitations = JsonMembers.Find(JsonMembers.Find(response.Utf8, "error"u8, "data"u8), "elicitations"u8);
        if (elicitations.Span is not [(byte)'[', ..] || !JsonRpcMessage.TrySplitBatch(elicitations, out var items, out _)
            || JsonMembers.Find(JsonMembers.Find(_clientCapabilities, "elicitation"u8), "url"u8).IsEmpty)
        {
            return false;
        }

        if (!_waiting.HasRoom)
        {
            WaitingCalls.Refused();
            return false;
        }

        call.Questions.Clear();
        call.Questions.AddRange(items.Select(item => ServerQuestion.OfUrl(item, $"q{++call.QuestionCount}")));
        return true;
    }

    /// <summary>The user has been where the server wanted, or not.</summary>
    /// <returns>False when there are pages left to go to.</returns>
    private async Task<bool> CallAgainAsync(CallToServer call, ClientRequest request, List<(ServerQuestion Question, ReadOnlyMemory<byte> Answer)> answers)
    {
        var isRefused = answers.Exists(pair => pair.Question.Id.IsNone && InputAnswer.IsRefusal(pair.Answer));
        lock (_gate)
        {
            if (!isRefused && call.Questions.Count > 0)
            {
                return false;
            }

            call.IsOver = true;
        }

        if (isRefused)
        {
            await request.AnswerAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidParams, "the server needs the user to go to a page first, which was declined"));
        }
        else
        {
            await ForwardAsync(request);
        }

        return true;
    }

    /// <summary>The server has a question.</summary>
    private async Task AskedAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (message.Is("ping"u8))
        {
            await _server.SendAsync(MessageEdit.Result(message.Id, "{}"u8), default, cancellationToken);
            return;
        }

        string? problem = null;
        var code = JsonRpcErrorCode.UpstreamUnavailable;
        CallToServer? gathering = null;
        lock (_gate)
        {
            var call = CallOf(related);
            if (ServerQuestion.Of(message, call is null ? "" : $"q{call.QuestionCount + 1}") is not { } question)
            {
                (problem, code) = ("the client takes no such requests", JsonRpcErrorCode.MethodNotFound);
            }
            else if (ClientCapability.MissingFor(Encoding.UTF8.GetString(message.Method), message.Params, _clientCapabilities) is { } capability)
            {
                // As a client of the server's own era would: the server may know what to do without.
                (problem, code) = ($"the client has not declared the capability {capability}", JsonRpcErrorCode.MethodNotFound);
            }
            else if (call is null)
            {
                problem = "the client cannot be asked: it has no request in flight that could be answered with the question";
            }
            else if (!_waiting.HasRoom)
            {
                WaitingCalls.Refused();
                problem = "the client cannot be asked: too many calls wait for input";
            }
            else
            {
                call.QuestionCount++;
                call.Questions.Add(question);
                if (call.Waiting is not null && !call.IsGathering)
                {
                    call.IsGathering = true;
                    gathering = call;
                }
            }
        }

        if (problem is not null)
        {
            await _server.SendAsync(JsonRpcWriter.Error(message.Id, code, problem), default, cancellationToken);
        }
        else if (gathering is not null)
        {
            _ = GatherAsync(gathering);
        }
    }

    /// <summary>
    /// The call that something belongs to: the one on whose stream it came; else, over a transport without such streams, the
    /// newest that could have caused it, and rather one whose client is not busy with another question.
    /// </summary>
    private CallToServer? CallOf(JsonRpcId related)
    {
        if (!related.IsNone && _calls.TryGetValue(related, out var call))
        {
            return call;
        }

        var candidates = _calls.Values.Where(candidate => candidate.MayAsk);
        return candidates.Where(candidate => candidate.Waiting is not null).MaxBy(candidate => candidate.Order) ?? candidates.MaxBy(candidate => candidate.Order);
    }

    private async Task GatherAsync(CallToServer call)
    {
        try
        {
            await Task.Delay(s_gathering, _context.Time, _closing.Token);
            AskClient(call);
        }
        catch (OperationCanceledException)
        {
            // Closing: the call was answered.
        }
    }

    /// <summary>Answers the client's request with the questions; the call waits for the client to come back.</summary>
    private void AskClient(CallToServer call)
    {
        ClientRequest? request;
        int round;
        var questions = new ObjectEdit(default);
        lock (_gate)
        {
            call.IsGathering = false;
            request = call.Waiting;
            if (call.IsOver || request is null || call.Questions.Count == 0)
            {
                return;
            }

            foreach (var question in call.Questions)
            {
                questions.Set(question.Key, question.Request);
            }

            call.Waiting = null;
            round = ++call.Round;
            _waiting.Add(this, call);
            call.Expiry = _context.Time.CreateTimer(_ => Expire(call, round), null, _context.Options.InputTimeout, Timeout.InfiniteTimeSpan);
        }

        var binding = RequestStateSeal.BindingOf(_key.Principal, call.Method, call.Request.Params);
        var expiry = _context.Time.GetUtcNow().Add(_context.Options.InputTimeout).ToUnixTimeSeconds();
        _ = request.AnswerAsync(ModernResult.InputRequired(request.Id, questions.ToUtf8(), _waiting.Seal.Seal(call.Key, round, expiry, binding), _serverInfo));
    }

    /// <summary>The client has not come back.</summary>
    private void Expire(CallToServer call, int round)
    {
        List<ServerQuestion> open;
        bool isWithServer;
        lock (_gate)
        {
            if (call.IsOver || call.Waiting is not null || call.Round != round)
            {
                return;
            }

            (open, isWithServer) = Drop(call, call.IsAbandoned ? ParkedOutcome.ServerGone : ParkedOutcome.Expired);
        }

        LogExpired(_context.Logger, call.Method);
        _ = TellServerAsync(call, open, isWithServer, "the client has not answered in time");
    }

    private async Task CancelAsync(CallToServer call, ClientRequest request)
    {
        List<ServerQuestion> open;
        bool isWithServer;
        lock (_gate)
        {
            if (call.IsOver || call.Waiting != request)
            {
                return;
            }

            (open, isWithServer) = Drop(call, ParkedOutcome.Cancelled);
        }

        await TellServerAsync(call, open, isWithServer, "the client has cancelled the request");
    }

    /// <summary>Gives a call up. Under the lock.</summary>
    private (List<ServerQuestion> Open, bool IsWithServer) Drop(CallToServer call, ParkedOutcome outcome)
    {
        call.IsOver = true;
        call.Expiry?.Dispose();
        _waiting.Remove(call, outcome);
        List<ServerQuestion> open = [.. call.Questions.Where(question => !question.Id.IsNone)];
        call.Questions.Clear();
        var isWithServer = _calls.Remove(call.UpstreamId);
        NoteIdle();
        return (open, isWithServer);
    }

    private async Task TellServerAsync(CallToServer call, List<ServerQuestion> open, bool isWithServer, string reason)
    {
        try
        {
            foreach (var question in open)
            {
                await _server.SendAsync(JsonRpcWriter.Error(question.Id, JsonRpcErrorCode.UpstreamUnavailable, reason), default, _closing.Token);
            }

            if (isWithServer)
            {
                await _server.SendAsync(JsonRpcWriter.Cancelled(call.UpstreamId, reason), default, _closing.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The session is closing, which the server notices by itself.
        }
    }

    private void Notified(JsonRpcMessage message, JsonRpcId related)
    {
        var method = Encoding.UTF8.GetString(message.Method);
        switch (method)
        {
            case "notifications/progress":
                Progressed(message);
                break;
            case "notifications/message":
                Logged(message, related);
                break;
            case "notifications/cancelled":
                lock (_gate)
                {
                    foreach (var call in _calls.Values)
                    {
                        call.Questions.RemoveAll(question => !question.Id.IsNone && question.Id == message.CancelledRequest());
                    }
                }

                break;
            case "notifications/resources/updated":
                var uri = JsonMembers.AsString(JsonMembers.Find(message.Params, "uri"u8)) ?? "";
                TellListeners(message, listener => listener.WantsResource(uri));
                break;
            case "notifications/tools/list_changed" or "notifications/prompts/list_changed" or "notifications/resources/list_changed":
                TellListeners(message, listener => listener.Wants(method));
                break;
            default:
                if (Waiting(related) is { } request && !method.StartsWith("notifications/elicitation/", StringComparison.Ordinal))
                {
                    request.Notify(message.Detach());
                }
                else
                {
                    LogNotExpressible(_context.Logger, message);
                }

                break;
        }
    }

    private ClientRequest? Waiting(JsonRpcId call)
    {
        lock (_gate)
        {
            return _calls.GetValueOrDefault(call)?.Waiting;
        }
    }

    private void Progressed(JsonRpcMessage message)
    {
        if (Waiting(message.ProgressToken()) is { ProgressToken.IsNone: false } request)
        {
            var range = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "progressToken"u8));
            request.Notify(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (range, request.ProgressToken.Utf8Text))));
        }
    }

    /// <summary>A log message goes to the request that caused it, where that has asked for such; never to one that has not.</summary>
    private void Logged(JsonRpcMessage message, JsonRpcId related)
    {
        var rank = LogSeverity.RankOf(JsonMembers.AsString(JsonMembers.Find(message.Params, "level"u8)));
        ClientRequest? request;
        lock (_gate)
        {
            var calls = _calls.TryGetValue(related, out var call) ? [call] : _calls.Values.OrderByDescending(other => other.Order).AsEnumerable();
            request = calls.Select(candidate => candidate.Waiting).FirstOrDefault(waiting => waiting is { LogRank: >= 0 } && waiting.LogRank <= rank);
        }

        if (request is not null)
        {
            request.Notify(message.Detach());
        }
    }

    private void TellListeners(JsonRpcMessage message, Func<ListenRequest, bool> wants)
    {
        List<ListenRequest> listeners;
        lock (_gate)
        {
            listeners = [.. _listeners.Where(wants)];
        }

        foreach (var listener in listeners)
        {
            listener.Notify(message);
        }
    }

    private async Task UnlistenAsync(ListenRequest listener)
    {
        lock (_gate)
        {
            if (!_listeners.Remove(listener))
            {
                return;
            }
        }

        try
        {
            await _control.WaitAsync(_closing.Token);
            try
            {
                foreach (var uri in listener.Uris)
                {
                    if (--_watched[uri] == 0)
                    {
                        _watched.Remove(uri);
                        await AskAsync("\"resources/unsubscribe\""u8.ToArray(), UriParams(uri));
                    }
                }
            }
            finally
            {
                _control.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // The session is closing, and its subscriptions with it.
        }

        lock (_gate)
        {
            NoteIdle();
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Opened a session with {Name}")]
    private static partial void LogOpened(ILogger logger, string name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} refused to open a session")]
    private static partial void LogRefused(ILogger logger, string name);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A session with {Name} ended: {Detail}")]
    private static partial void LogEnded(ILogger logger, string name, string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Method} was cancelled: its client has not come back with the input that the server asked for")]
    private static partial void LogExpired(ILogger logger, string method);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Not passed on, the client's era has no such thing: {Message}")]
    private static partial void LogNotExpressible(ILogger logger, JsonRpcMessage message);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while reading from {Name}")]
    private static partial void LogDefect(ILogger logger, Exception exception, string name);
}
