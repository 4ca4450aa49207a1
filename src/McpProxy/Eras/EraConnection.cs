using System.Text;
using McpProxy.Eras.LegacyClient;
using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras;

/// <summary>
/// A client's connection until it is known which eras the client and the server speak: from then on messages go straight
/// through, or to the stage that translates them. The client's first message shows its era, and what the server makes of it
/// the server's.
/// </summary>
internal sealed partial class EraConnection : IConnection, IMessageReceiver
{
    private static readonly TimeSpan s_httpTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly BridgeContext _context;
    private readonly LegacySessionPool _sessions;
    private readonly EraBridge? _stateless;
    private readonly string? _principal;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<IConnection> _former = [];
    private readonly HashSet<JsonRpcId> _replayed = [];
    private TaskCompletionSource _hurry = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource<JsonRpcMessage> _firstAnswer = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _decided = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile OpenConnection? _own;
    private IMessageReceiver? _receiver;
    private CancellationToken _cancellation;
    private volatile IConnection? _stage;
    private IConnection? _begun;
    private volatile State _state;
    private JsonRpcMessage _first;
    private SessionReplay? _replay;
    private volatile int _generation;
    private Task _deciding = Task.CompletedTask;
    private int _disposed;

    /// <summary>A connection for a client that stays.</summary>
    public EraConnection(BridgeContext context, LegacySessionPool sessions, OpenConnection own, string? principal)
    {
        _context = context;
        _sessions = sessions;
        _own = own;
        _principal = principal;
    }

    /// <summary>A connection for one modern request.</summary>
    public EraConnection(BridgeContext context, LegacySessionPool sessions, EraBridge bridge, string? principal)
    {
        _context = context;
        _sessions = sessions;
        _stateless = bridge;
        _principal = principal;
    }

    /// <summary>How far the decision is.</summary>
    private enum State
    {
        /// <summary>The client has said nothing that tells its era.</summary>
        Undecided,

        /// <summary>The server has the client's <c>initialize</c>.</summary>
        Asked,

        /// <summary>The decision is being made: what the client says next waits for it.</summary>
        Deciding,

        /// <summary>The stage has the rest.</summary>
        Decided,
    }

    /// <summary>Where a message goes that comes before the decision.</summary>
    private enum Place
    {
        /// <summary>To the server, as it is.</summary>
        Server,

        /// <summary>Here: it is what the decision is about.</summary>
        Taken,

        /// <summary>Wherever the decision says.</summary>
        Waits,
    }

    public bool HasRequestStreams => _stage?.HasRequestStreams ?? _own?.HasRequestStreams ?? true;

    public Task Gone => _own?.Gone ?? _ended.Task;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        _cancellation = cancellationToken;
        cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
        if (_own is { } own)
        {
            own.GiveTo(this);
            _ = WatchEndAsync(own);
        }

        return _ended.Task;
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        _replay?.Observe(message);
        if (_generation != _context.Facts.Generation && message.Kind == JsonRpcMessageKind.Request)
        {
            Reconsider();
        }

        return _stage?.SendAsync(message, related, cancellationToken) ?? SendUndecidedAsync(message, related, cancellationToken);
    }

    public void EndOfInput() => (_stage ?? _own)?.EndOfInput();

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _closing.CancelAsync();
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        await _deciding;
        _decided.TrySetResult();
        if ((_stage ?? _begun) is { } stage)
        {
            await stage.DisposeAsync();
        }

        foreach (var former in _former)
        {
            await former.DisposeAsync();
        }

        if (_own is not null)
        {
            await _own.DisposeAsync();
        }

        _closing.Dispose();
    }

    async ValueTask IMessageReceiver.ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (IsReplayed(message))
        {
            return;
        }

        if (message.Kind == JsonRpcMessageKind.Response && IsFirstAnswer(message))
        {
            if (_state == State.Deciding)
            {
                _firstAnswer.TrySetResult(message.Detach());
                return;
            }

            if (_state == State.Asked && !IsPassedOn(message))
            {
                return;
            }
        }

        await _receiver!.ReceiveAsync(message, related, cancellationToken);
    }

    async ValueTask IMessageReceiver.FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => await _receiver!.FaultAsync(fault, cancellationToken);

    async ValueTask IMessageReceiver.AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        if (_state == State.Deciding)
        {
            _firstAnswer.TrySetResult(JsonRpcWriter.Error(_first.Id, JsonRpcErrorCode.UpstreamUnavailable, reason));
        }
        else
        {
            await _receiver!.AbandonedAsync(reason, cancellationToken);
        }
    }

    private async ValueTask<bool> SendUndecidedAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        while (_stage is null)
        {
            var (place, decided) = Take(message);
            switch (place)
            {
                case Place.Taken:
                    return true;
                case Place.Waits:
                    _hurry.TrySetResult();
                    await decided.WaitAsync(cancellationToken);
                    if (_disposed != 0)
                    {
                        return false;
                    }

                    break;
                case Place.Server when _own is { } own:
                    return await own.SendAsync(message, related, cancellationToken);
            }
        }

        return await _stage.SendAsync(message, related, cancellationToken);
    }

    private bool IsFirstAnswer(in JsonRpcMessage message)
    {
        lock (_gate)
        {
            return _state is State.Asked or State.Deciding && message.Id == _first.Id;
        }
    }

    /// <summary>Looks at a message of the client, as long as nothing is decided.</summary>
    private (Place Place, Task Decided) Take(in JsonRpcMessage message)
    {
        lock (_gate)
        {
            if (_state is State.Deciding or State.Decided)
            {
                return (Place.Waits, _decided.Task);
            }

            return (message.Kind == JsonRpcMessageKind.Request ? TakeRequest(message) : Place.Server, Task.CompletedTask);
        }
    }

    private Place TakeRequest(in JsonRpcMessage request)
    {
        if (request.IsModern())
        {
            return Decide(request, _context.Options.Downstream == EraChoice.Legacy ? RefuseAsync : ForModernClientAsync);
        }

        if (!request.Is("initialize"u8))
        {
            return _own is null ? Decide(request, ForModernClientAsync) : Place.Server;
        }

        if (_context.Options.Downstream == EraChoice.Modern)
        {
            return Decide(request, RefuseAsync);
        }

        if (_context.Facts.IsModernOnly)
        {
            Remember(request);
            return Decide(request, () => ForLegacyClientAsync(refusal: null));
        }

        _first = request.Detach();
        _state = State.Asked;
        Remember(request);
        return Place.Server;
    }

    /// <summary>Begins to keep what a legacy client says once, should the server have to be told again.</summary>
    private void Remember(in JsonRpcMessage initialize)
    {
        if (_context.Doubt.IsPossible)
        {
            _replay = new();
            _replay.Observe(initialize);
        }
    }

    private Place Decide(in JsonRpcMessage first, Func<Task> decide)
    {
        _first = first.Detach();
        _state = State.Deciding;

        // Not those of a decision that came to nothing, of which an answer of then would be taken for one of now.
        _firstAnswer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _hurry = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _deciding = DecideAsync(decide);
        return Place.Taken;
    }

    /// <summary>Whether the server's answer to <c>initialize</c> goes to the client. A server that refuses it may be a modern one.</summary>
    private bool IsPassedOn(in JsonRpcMessage answer)
    {
        if (!answer.IsError && !NamesAnEraUnasked(answer))
        {
            _context.Facts.LearnLegacy();
            Use(_own!);
            return true;
        }

        var refusal = answer.Detach();
        lock (_gate)
        {
            if (_context.Options.Upstream == EraChoice.Legacy || answer.ErrorCode() == JsonRpcErrorCode.SignInNeeded)
            {
                // It may try again.
                _state = State.Undecided;
                return true;
            }

            _state = State.Deciding;
            _deciding = DecideAsync(() => ForLegacyClientAsync(refusal));
            return false;
        }
    }

    /// <summary>Whether a server answers with a revision of the modern era, which has no <c>initialize</c>, to a client that has not named one: no legacy client can go on with that.</summary>
    private bool NamesAnEraUnasked(in JsonRpcMessage answer) =>
        Revision.IsModern(JsonMembers.AsString(JsonMembers.Find(answer.Result, "protocolVersion"u8)))
        && !Revision.IsModern(JsonMembers.AsString(JsonMembers.Find(_first.Params, "protocolVersion"u8)));

    private async Task DecideAsync(Func<Task> decide)
    {
        // Started under the lock.
        await Task.Yield();
        try
        {
            await decide();
        }
        catch (OperationCanceledException)
        {
            // Closing.
        }
        catch (Exception e)
        {
            LogDefect(_context.Logger, e, _context.Upstream.Name);
            await AnswerAsync(JsonRpcWriter.Error(_first.Id, JsonRpcErrorCode.InternalError, "the proxy failed to find out what the server speaks"));
            BackToUndecided();
        }
    }

    /// <summary>The server does not speak the legacy era, or so it seems.</summary>
    /// <param name="refusal">What it answered to <c>initialize</c>; null when it was not asked.</param>
    private async Task ForLegacyClientAsync(JsonRpcMessage? refusal)
    {
        // One that is known to be modern may still be starting; one that has refused is not.
        TimeSpan? patience = refusal is null ? s_patience : null;
        var outcome = await ProbeAsync(EraProbe.Question, patience);
        if (outcome.Verdict is ProbeVerdict.Silent or ProbeVerdict.Ended && _context.Upstream.StartsServer && !await HasFailedToStartAsync())
        {
            // It may have taken initialize for its era, and keep to it.
            await ReplaceOwnAsync();
            outcome = await ProbeAsync(EraProbe.Question, s_patience);
        }

        if (outcome.Verdict == ProbeVerdict.Modern)
        {
            _context.Facts.LearnModern(hasRefusedInitialize: true);
            Announce(toModernClients: false);
            var stage = new LegacyClientStage(_context, Taken(), _first, outcome.Answer);
            Use(stage);
            await stage.StartAsync(_closing.Token);
            return;
        }

        if (refusal is { } answer)
        {
            await AnswerAsync(answer);
            BackToUndecided();
            return;
        }

        // What was known has proved wrong: the server is asked as if nothing were known.
        _context.Facts.Forget();
        if (outcome.Verdict == ProbeVerdict.Unknown)
        {
            await AnswerAsync(JsonSplice.WithId(outcome.Answer, _first.Id));
            BackToUndecided();
            return;
        }

        var own = _own!;
        Use(own);
        await own.SendAsync(_first, default, _closing.Token);
    }

    private async Task ForModernClientAsync()
    {
        var facts = _context.Facts;
        if (facts.IsLegacyOnly)
        {
            await BridgeAsync();
        }
        else if (facts.IsModern)
        {
            await PassOnAsync(_own ?? _stateless!.ConnectModern());
        }
        else if (!_context.Upstream.StartsServer)
        {
            await ForwardFirstAsync();
        }
        else if (_own is null)
        {
            var outcome = await _stateless!.ProbeAsync(_first, _principal).WaitAsync(_closing.Token);
            await ChooseAsync(outcome, answer: null, () => _stateless.ConnectModern());
        }
        else
        {
            // Before anything else: some servers would take a modern request for a legacy one and do what it says.
            var isAsked = _first.Is("server/discover"u8);
            var outcome = await new ChildSearch(_context, _sessions).AskAsync(_own, isAsked ? _first : EraProbe.Question, this, _first, _principal, _closing.Token);
            if (outcome.Verdict is ProbeVerdict.Ended && await HasFailedToStartAsync())
            {
                _ended.TrySetResult(await _own.Ended);
                return;
            }

            await ChooseAsync(outcome, isAsked ? outcome.Answer : null, () => _own);
        }
    }

    /// <summary>Over HTTP the request itself is the question: a server that does not understand it refuses it and does nothing.</summary>
    private async Task ForwardFirstAsync()
    {
        if (_own is null)
        {
            _own = new(_context.Upstream.Connect());
            _own.GiveTo(this);
        }

        await _own.SendAsync(_first, default, _closing.Token);
        await Task.WhenAny(_firstAnswer.Task, _hurry.Task, Task.Delay(_context.Options.ProbeTimeout, _context.Time, _closing.Token));
        _closing.Token.ThrowIfCancellationRequested();
        JsonRpcMessage? answer = _firstAnswer.Task.IsCompletedSuccessfully ? await _firstAnswer.Task : null;
        if (answer is { } first)
        {
            var verdict = _first.Is("server/discover"u8) ? ProbeOutcome.Of(first)
                : first.IsError ? ProbeOutcome.IsModernError(first) ? ProbeVerdict.Modern : ProbeVerdict.Unknown
                : JsonMembers.Find(first.Result, "resultType"u8).IsEmpty ? ProbeVerdict.Unknown : ProbeVerdict.Modern;
            if (verdict != ProbeVerdict.Unknown || first.ErrorCode() == JsonRpcErrorCode.SignInNeeded)
            {
                await ChooseAsync(new(verdict, first), first, () => _own);
                return;
            }
        }

        // An answer that servers of both eras give, or one that takes its time while others wait.
        var outcome = await ProbeAsync(EraProbe.Question);
        answer ??= _firstAnswer.Task.IsCompletedSuccessfully ? await _firstAnswer.Task : null;
        if (answer is { IsError: true } failure && (outcome.Verdict == ProbeVerdict.Silent || (_own.HasRequestStreams && failure.ErrorCode() == JsonRpcErrorCode.UpstreamUnavailable)))
        {
            // A server that is gone, or went away over the request: that says nothing about what it speaks, and the request must not be made again.
            await AnswerAsync(failure);
            BackToUndecided();
            return;
        }

        if (answer is { IsError: false } result && outcome.Verdict != ProbeVerdict.Modern)
        {
            // A legacy server that keeps no sessions has done what was asked of it.
            await BridgeAsync(isAnswered: true);
            await AnswerAsync(ModernResult.From(result, _first.Id, Encoding.UTF8.GetString(_first.Method), default));
            return;
        }

        await ChooseAsync(outcome, answer, () => _own, isSent: true);
    }

    /// <summary>Connects a modern client with what the server has turned out to be.</summary>
    /// <param name="outcome">What the server has turned out to be.</param>
    /// <param name="answer">Its answer to the client's first request; null when there is none yet.</param>
    /// <param name="modern">The connection that goes straight to it.</param>
    /// <param name="isSent">Whether the client's first request is on its way on that connection.</param>
    private async Task ChooseAsync(ProbeOutcome outcome, JsonRpcMessage? answer, Func<IConnection> modern, bool isSent = false)
    {
        switch (outcome.Verdict)
        {
            case ProbeVerdict.Modern:
                _context.Facts.LearnModern();
                if (answer is { } given)
                {
                    Use(modern());
                    await AnswerAsync(given);
                }
                else if (isSent)
                {
                    Use(modern());
                    if (_firstAnswer.Task.IsCompletedSuccessfully)
                    {
                        await AnswerAsync(await _firstAnswer.Task);
                    }
                }
                else
                {
                    await PassOnAsync(modern());
                }

                break;
            case ProbeVerdict.Unknown:
                await AnswerAsync(answer ?? JsonSplice.WithId(outcome.Answer, _first.Id));
                BackToUndecided();
                break;
            case ProbeVerdict.Ended when !_context.Upstream.StartsServer && _own is { Ended.IsCompleted: true }:
                // Not even a connection.
                if (answer is { } refusal)
                {
                    await AnswerAsync(refusal);
                }

                _ended.TrySetResult(await _own.Ended);
                break;
            default:
                if (outcome.Verdict == ProbeVerdict.Legacy && _own is not null && (!isSent || answer is not null))
                {
                    // It has nothing left to do there, and can be the first session's.
                    await _sessions.OfferAsync(Taken());
                }

                await BridgeAsync();
                break;
        }
    }

    private void Announce(bool toModernClients)
    {
        if (_context.Facts.Announce(toModernClients))
        {
            LogBridged(_context.Logger, _context.Upstream.Name, toModernClients ? "legacy" : "modern", toModernClients ? "modern" : "legacy");
        }
    }

    private async Task PassOnAsync(IConnection connection)
    {
        Use(connection);
        await connection.SendAsync(_first, default, _closing.Token);
    }

    /// <summary>Serves the client through legacy sessions.</summary>
    private async Task BridgeAsync(bool isAnswered = false)
    {
        Announce(toModernClients: true);
        var stage = new ModernClientStage(_context, _sessions, _principal, staysWithServer: _stateless is null);
        var unused = Interlocked.Exchange(ref _own, null);
        if (unused is not null && _context.Facts.IsLegacyOnly && _context.Upstream.StartsServer && !unused.Ended.IsCompleted)
        {
            // A child that nothing was said to can be the first session's.
            await _sessions.OfferAsync(unused);
            unused = null;
        }

        Use(stage);
        if (!isAnswered)
        {
            await stage.SendAsync(_first, default, _closing.Token);
        }

        if (unused is not null)
        {
            // Last: one that has fallen silent may take its time to end.
            await unused.DisposeAsync();
        }
    }

    /// <summary>Refuses a client of an era that is not offered, as a server would that does not know it.</summary>
    private async Task RefuseAsync()
    {
        await AnswerAsync(_first.Is("initialize"u8)
            ? JsonRpcWriter.Error(
                _first.Id,
                JsonRpcErrorCode.UnsupportedProtocolVersion,
                $"Unsupported protocol version: this server speaks {Revision.Modern}",
                (byte[])[.. "{\"supported\":["u8, .. ObjectEdit.Quoted(Revision.Modern), .. "],\"requested\":"u8, .. Requested(_first), (byte)'}'])
            : JsonRpcWriter.Error(_first.Id, JsonRpcErrorCode.MethodNotFound, "Method not found: this server starts with an initialize request"));
        BackToUndecided();
    }

    private static ReadOnlySpan<byte> Requested(in JsonRpcMessage initialize) =>
        JsonMembers.Find(initialize.Params, "protocolVersion"u8).Span is [(byte)'"', ..] version ? version : "\"\""u8;

    private Task<ProbeOutcome> ProbeAsync(JsonRpcMessage question, TimeSpan? patience = null)
    {
        // Over HTTP the question may have to wait until the transport is known.
        var timeout = !_context.Upstream.StartsServer && _context.Options.ProbeTimeout < s_httpTimeout ? s_httpTimeout : _context.Options.ProbeTimeout;
        return new EraProbe(question, this).AskAsync(_own!, patience ?? timeout, _context.Time, _closing.Token);
    }

    private async Task<bool> HasFailedToStartAsync() =>
        _own!.Ended.IsCompleted && (await _own.Ended).Reason is ConnectionEndReason.StartFailed or ConnectionEndReason.ConnectFailed or ConnectionEndReason.Closed;

    private async Task ReplaceOwnAsync()
    {
        var old = _own!;
        _own = new(_context.Upstream.Connect());
        await old.DisposeAsync();
    }

    /// <summary>The connection, which is somebody else's from now on.</summary>
    private OpenConnection Taken() => Interlocked.Exchange(ref _own, null)!;

    private void Use(IConnection stage)
    {
        Begin(stage);
        Decide(stage);
    }

    /// <summary>The stage hears the server; the client's messages wait until it is decided upon.</summary>
    private void Begin(IConnection stage)
    {
        if (stage == _own)
        {
            // It is closed as the stage.
            _own = null;
        }

        lock (_gate)
        {
            _generation = _context.Facts.Generation;
            _begun = stage;
            _ = RunStageAsync(stage, _generation);
        }
    }

    private void Decide(IConnection stage)
    {
        lock (_gate)
        {
            _state = State.Decided;
            (_stage, _begun) = (stage, null);
        }

        _decided.TrySetResult();
    }

    private async Task RunStageAsync(IConnection stage, int generation)
    {
        try
        {
            // What is translated is of the client's era, and says nothing about the server's.
            var isModern = _replay is null && stage is not ModernClientStage;
            var end = await stage.RunAsync(_context.Doubt.IsPossible ? new AnswerWatch(new Forwarder(this), _context.Doubt, isModern) : _receiver!, _cancellation);
            if (generation == _context.Facts.Generation || _cancellation.IsCancellationRequested)
            {
                _ended.TrySetResult(end);
            }
        }
        catch (Exception e)
        {
            _ended.TrySetException(e);
        }
    }

    /// <summary>The server has turned out to be another one: if the stage is not made for it, what comes next gets one that is.</summary>
    private void Reconsider()
    {
        lock (_gate)
        {
            var facts = _context.Facts;
            _generation = facts.Generation;
            if (_state != State.Decided || _stage is not { } stage
                || (_replay is null ? facts.IsLegacyOnly == stage is ModernClientStage : facts.IsModernOnly == stage is LegacyClientStage))
            {
                return;
            }

            // What is in flight there may still be answered.
            _former.Add(stage);
            (stage as LegacyClientStage)?.StopListening();
            _stage = null;
            _decided = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _hurry = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _firstAnswer = new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_stateless is null)
            {
                _own = new(_context.Upstream.Connect());
                _own.GiveTo(this);
            }

            if (_replay?.Initialize is not { } initialize)
            {
                _state = State.Undecided;
                return;
            }

            _first = initialize;
            _state = State.Deciding;
            _deciding = DecideAsync(IntroduceAgainAsync);
        }
    }

    /// <summary>Tells the server that has taken the place of another one what the legacy client had told that one.</summary>
    private async Task IntroduceAgainAsync()
    {
        if (_context.Facts.IsModernOnly)
        {
            var outcome = await ProbeAsync(EraProbe.Question);
            if (outcome.Verdict != ProbeVerdict.Modern)
            {
                Use(_own!);
                return;
            }

            Announce(toModernClients: false);
            var stage = new LegacyClientStage(_context, Taken(), _first, outcome.Answer);
            Begin(stage);

            // Before anything that the client says next, which may depend on it.
            await TellAgainAsync(stage);
            Decide(stage);
            return;
        }

        var own = _own!;
        await own.SendAsync(_first, default, _closing.Token);
        await Task.WhenAny(_firstAnswer.Task, Task.Delay(s_patience, _context.Time, _closing.Token));
        await TellAgainAsync(own);
        Use(own);
    }

    private async Task TellAgainAsync(IConnection server)
    {
        foreach (var message in _replay!.Rest())
        {
            var again = message;
            if (message.Kind == JsonRpcMessageKind.Request)
            {
                lock (_gate)
                {
                    var id = JsonRpcId.FromJson(Encoding.UTF8.GetBytes($"\"mcp-proxy/again/{_generation}/{_replayed.Count}\""));
                    again = JsonSplice.WithId(message, id);
                    _replayed.Add(id);
                }
            }

            await server.SendAsync(again, default, _closing.Token);
        }
    }

    /// <summary>Whether this answers what the client has not asked this server.</summary>
    private bool IsReplayed(in JsonRpcMessage message)
    {
        if (message.Kind != JsonRpcMessageKind.Response || _replayed.Count == 0)
        {
            return false;
        }

        lock (_gate)
        {
            return _replayed.Remove(message.Id);
        }
    }

    private void BackToUndecided()
    {
        lock (_gate)
        {
            _state = State.Undecided;
            _decided.TrySetResult();
            _decided = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        if (_own is { Ended.IsCompleted: true } own)
        {
            // It ended while the decision was being made, which was no reason to end then.
            _ = WatchEndAsync(own);
        }
    }

    private async Task AnswerAsync(JsonRpcMessage answer) => await _receiver!.ReceiveAsync(answer, answer.Id, _closing.Token);

    private async Task WatchEndAsync(OpenConnection own)
    {
        try
        {
            var end = await own.Ended;
            if (_state is State.Undecided or State.Asked)
            {
                _ended.TrySetResult(end);
            }
        }
        catch (Exception e)
        {
            _ended.TrySetException(e);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Name} speaks the {ServerEra} era of the protocol and the client the {ClientEra} one: translating")]
    private static partial void LogBridged(ILogger logger, string name, string serverEra, string clientEra);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while finding out what {Name} speaks")]
    private static partial void LogDefect(ILogger logger, Exception exception, string name);

    /// <summary>Hands on to the client what is for it.</summary>
    private sealed class Forwarder(EraConnection connection) : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
            connection.IsReplayed(message) ? ValueTask.CompletedTask : connection._receiver!.ReceiveAsync(message, related, cancellationToken);

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => connection._receiver!.FaultAsync(fault, cancellationToken);

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => connection._receiver!.AbandonedAsync(reason, cancellationToken);
    }
}
