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

    private readonly TaskCompletionSource _isRead = new(TaskCreationOptions.RunContinuationsAsynchronously);

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

        _isRead.TrySetResult();
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
        _isRead.TrySetResult();
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

    ValueTask IMessageReceiver.ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (IsReplayed(message))
        {
            return ValueTask.CompletedTask;
        }

        if (message.Kind == JsonRpcMessageKind.Response && IsFirstAnswer(message))
        {
            if (_state == State.Deciding)
            {
                _firstAnswer.TrySetResult(message.Detach());
                return ValueTask.CompletedTask;
            }

            if (_state == State.Asked && !IsPassedOn(message))
            {
                return ValueTask.CompletedTask;
            }
        }

        return _receiver!.ReceiveAsync(message, related, cancellationToken);
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
        // The decision has the server's messages for itself for a while: whoever reads them begins before it, not in the middle.
        await _isRead.Task.WaitAsync(cancellationToken);
        while (_stage is null)
        {
            if (_disposed != 0)
            {
                return false;
            }

            var (place, decided) = Take(message);
            switch (place)
            {
                case Place.Taken:
                    return true;
                case Place.Waits:
                    _hurry.TrySetResult();
                    await decided.WaitAsync(cancellationToken);
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

    private void Announce(bool toModernClients)
    {
        if (_context.Facts.Announce(toModernClients))
        {
            LogBridged(_context.Logger, _context.Upstream.Name, toModernClients ? "legacy" : "modern", toModernClients ? "modern" : "legacy");
        }
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
