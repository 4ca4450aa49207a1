using McpProxy.JsonRpc;
using McpProxy.Transports;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.SignIn;

/// <summary>
/// Stands before a server that wants a sign-in, so that no client gives up on it: answers <c>initialize</c> in its place,
/// holds what follows for as long as requests may wait, and brings the real server in once somebody has signed in.
/// Everything else passes as it is.
/// </summary>
internal sealed partial class SignInFront : IConnection
{
    private const int MaxHeld = 1000;
    private static readonly TimeSpan s_firstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_maxPause = TimeSpan.FromSeconds(30);

    private readonly IConnection _inner;
    private readonly OAuthAuthorization _authorization;
    private readonly string _serverName;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly List<Held> _held = [];
    private IMessageReceiver? _receiver;
    private JsonRpcMessage? _initialize;
    private Stage _stage;
    private TaskCompletionSource<JsonRpcMessage>? _introduction;
    private Task _introducing = Task.CompletedTask;
    private bool _isInitialized;
    private LocalServer? _local;
    private JsonRpcId _introducedAs;
    private SignInException? _refusal;
    private bool _changesAreDue;

    public SignInFront(IConnection inner, OAuthAuthorization authorization, string serverName, ILogger logger)
    {
        _inner = inner;
        _authorization = authorization;
        _serverName = serverName;
        _logger = logger;
        _authorization.Prompted += OnPrompted;
    }

    /// <summary>Who answers the client.</summary>
    private enum Stage
    {
        /// <summary>The server.</summary>
        Server,

        /// <summary>The server, which has not answered <c>initialize</c> yet: what follows must not overtake it.</summary>
        Asked,

        /// <summary>This class: the server does not know the client yet.</summary>
        Local,

        /// <summary>This class, while the server is told what the client said.</summary>
        Introducing,
    }

    public bool HasRequestStreams => _inner.HasRequestStreams;

    public Task Gone => _inner.Gone;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        return _inner.RunAsync(new Inbound(this), cancellationToken);
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        _stage == Stage.Server && _local is null && !message.Is("initialize"u8) && !message.Is("notifications/initialized"u8)
            ? _inner.SendAsync(message, related, cancellationToken)
            : SendNotableAsync(message, related, cancellationToken);

    public void EndOfInput()
    {
        // Nobody is left to sign in for.
        Refuse(new($"{_serverName} needs a sign-in, which was not completed before the client ended", url: null));
        _inner.EndOfInput();
    }

    public async ValueTask DisposeAsync()
    {
        _authorization.Prompted -= OnPrompted;
        await _closing.CancelAsync();
        await _introducing;
        await _inner.DisposeAsync();
        _closing.Dispose();
    }

    /// <summary>Sends what this class has to look at.</summary>
    private async ValueTask<bool> SendNotableAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        var isInitialized = message.Is("notifications/initialized"u8);
        var isIntroduction = false;
        if (message.Kind == JsonRpcMessageKind.Request && message.Is("initialize"u8))
        {
            lock (_gate)
            {
                _initialize = message.Detach();
                if (_stage == Stage.Server)
                {
                    _introducedAs = message.Id.Detach();
                    _stage = Stage.Asked;
                    isIntroduction = true;
                }
            }
        }

        if (!isIntroduction && (_stage == Stage.Server ? _local?.Answer(message) is { } answer && await AnswerAsync(answer) : Hold(message)))
        {
            return true;
        }

        var sent = await _inner.SendAsync(message, related, cancellationToken);
        if (isInitialized)
        {
            await MarkInitializedAsync();
        }

        return sent;
    }

    /// <summary>Holds a message back until the server knows the client.</summary>
    /// <returns>False when the server knows it by now.</returns>
    private bool Hold(JsonRpcMessage message)
    {
        Held? held = null;
        JsonRpcMessage? answer = null;
        var isUserAction = RequestOccasions.Of(message) == RequestOccasion.UserAction;
        var announce = false;
        lock (_gate)
        {
            if (_stage == Stage.Server)
            {
                return false;
            }

            if (_stage == Stage.Asked && (message.Kind == JsonRpcMessageKind.Response || message.Is("ping"u8) || message.CancelledRequest() == _introducedAs))
            {
                // The server may be waiting for it to answer.
                return false;
            }

            if (_stage == Stage.Asked && _held.Count < MaxHeld)
            {
                held = new(message.Detach());
                _held.Add(held);
                return true;
            }

            if (message.Kind == JsonRpcMessageKind.Request && message.Is("ping"u8))
            {
                answer = LocalServer.Result(message.Id, "{}"u8);
            }
            else if (message.Kind == JsonRpcMessageKind.Request && message.Is("initialize"u8))
            {
                // A client that tries again; the server will hear this one.
                answer = _local!.Introduction(message);
            }
            else if (message.CancelledRequest() is { IsNone: false } cancelled && _held.RemoveAll(candidate => candidate.Message.Kind == JsonRpcMessageKind.Request && candidate.Message.Id == cancelled) > 0)
            {
                return true;
            }
            else if (message.Kind == JsonRpcMessageKind.Response || _held.Count == MaxHeld || (_refusal is not null && message.Kind == JsonRpcMessageKind.Request && !isUserAction))
            {
                // Nothing was asked of the client; and what is not held is answered like what was held too long.
                answer = message.Kind == JsonRpcMessageKind.Request ? NotYet().AnswerFor(message.Id) : null;
            }
            else
            {
                held = new(message.Detach());
                _held.Add(held);
                announce = message.Is("notifications/initialized"u8);
                if (isUserAction)
                {
                    // Whoever had given up on the sign-in wants it now.
                    _refusal = null;
                    _authorization.ForgetFailure();
                    StartIntroducing(afresh: true);
                }
            }
        }

        if (answer is { } now)
        {
            _ = AnswerAsync(now);
        }

        if (held?.Message.Kind == JsonRpcMessageKind.Request)
        {
            _ = ReleaseInTimeAsync(held);
        }

        if (announce && _authorization.Prompt is { } prompt)
        {
            OnPrompted(prompt);
        }

        return true;
    }

    /// <summary>A request does not wait for ever: after a while its client hears where to sign in.</summary>
    private async Task ReleaseInTimeAsync(Held held)
    {
        try
        {
            await Task.WhenAny(Task.Delay(_authorization.Options.RequestWait, _authorization.Time, _closing.Token), held.Refused.Task);
            _closing.Token.ThrowIfCancellationRequested();
            lock (_gate)
            {
                if (!_held.Remove(held))
                {
                    return;
                }
            }

            await AnswerAsync((held.Refused.Task.IsCompletedSuccessfully ? await held.Refused.Task : NotYet()).AnswerFor(held.Message.Id));
        }
        catch (OperationCanceledException)
        {
            // The session is closing, and answers what is left.
        }
    }

    private SignInException NotYet() => _authorization.Prompt is { } prompt
        ? new(prompt.Text, prompt.Url)
        : _refusal ?? new($"{_serverName} needs a sign-in, which has not been completed", url: null);

    private async Task<bool> AnswerAsync(JsonRpcMessage message)
    {
        try
        {
            await _receiver!.ReceiveAsync(message, message.Kind == JsonRpcMessageKind.Response ? message.Id : default, _closing.Token);
        }
        catch (OperationCanceledException)
        {
            // The session is closing.
        }

        return true;
    }

    /// <summary>The server refused to be introduced to the client before somebody signs in: from here on this class speaks for it.</summary>
    private async ValueTask TakeOverAsync(JsonRpcMessage initialize)
    {
        LocalServer local;
        List<Held> early;
        lock (_gate)
        {
            local = _local = new LocalServer(_serverName, _authorization.Prompt?.Text);
            _stage = Stage.Local;
            early = [.. _held];
            StartIntroducing(afresh: false);
        }

        LogLocal(_serverName);
        await AnswerAsync(local.Introduction(initialize));

        // Of a client that did not wait for the answer.
        foreach (var held in early.Where(held => held.Message.Kind == JsonRpcMessageKind.Request))
        {
            _ = ReleaseInTimeAsync(held);
        }

        if (_authorization.Prompt is { } prompt)
        {
            OnPrompted(prompt);
        }
    }

    /// <summary>The server has answered <c>initialize</c>: what followed it goes there.</summary>
    private async ValueTask LetInAsync(JsonRpcMessage answer, JsonRpcId related, CancellationToken cancellationToken)
    {
        await _receiver!.ReceiveAsync(answer, related, cancellationToken);
        StartFlushing();
    }

    /// <summary>Not awaited by whoever brings the answer: what is handed on may wait for that to end.</summary>
    private void StartFlushing()
    {
        lock (_gate)
        {
            _introducing = FlushSafelyAsync();
        }
    }

    private async Task FlushSafelyAsync()
    {
        try
        {
            await Task.Yield();
            await FlushAsync();
        }
        catch (OperationCanceledException)
        {
            // Closing.
        }
    }

    /// <summary>Introduces the client to the server as soon as it is let in. Under the lock.</summary>
    /// <param name="afresh">Whether a sign-in that did not work is to be followed by another.</param>
    private void StartIntroducing(bool afresh)
    {
        if (_introducing.IsCompleted && _stage == Stage.Local && !_closing.IsCancellationRequested)
        {
            _introducing = IntroduceAsync(afresh);
        }
    }

    private async Task IntroduceAsync(bool afresh)
    {
        const int Rounds = 5;
        var pause = s_firstPause;
        await Task.Yield();
        try
        {
            for (var round = 1; ; round++, afresh = false)
            {
                var signIn = _authorization.SignInUnderWay ?? Task.CompletedTask;
                await signIn.WaitAsync(_closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                _closing.Token.ThrowIfCancellationRequested();
                if (signIn.Exception is { } failure && !afresh)
                {
                    Refuse(new($"cannot sign in to {_serverName}: {failure.InnerException!.Message}", url: null));
                    if (!_authorization.MayPass)
                    {
                        return;
                    }

                    // The network of a laptop that wakes up, most often.
                    await Task.Delay(pause, _authorization.Time, _closing.Token);
                    pause = pause * 2 < s_maxPause ? pause * 2 : s_maxPause;
                    round = 1;
                }

                var answer = await IntroduceOnceAsync();
                if (!answer.IsError)
                {
                    await BringInAsync(answer);
                    return;
                }

                lock (_gate)
                {
                    _stage = Stage.Local;
                }

                // Once more when somebody signs in anew, or when the stream broke on which the answer would have come.
                var isWorthIt = answer.Id.Kind is JsonRpcIdKind.None or JsonRpcIdKind.Null || (answer.ErrorCode() == JsonRpcErrorCode.SignInNeeded
                    && (_authorization.MayPass || (_authorization.SignInUnderWay is { IsFaulted: false } next && next != signIn)));
                if (!isWorthIt || round == Rounds)
                {
                    LogNotIntroduced(_serverName);
                    Refuse(new(JsonMembers.AsString(JsonMembers.Find(answer.Utf8, "error"u8, "message"u8)) ?? "the server refused the client", url: null));
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Closing.
        }
    }

    /// <summary>Tells the server what the client said last.</summary>
    /// <returns>Its answer; an error without an id when there will be none.</returns>
    private async Task<JsonRpcMessage> IntroduceOnceAsync()
    {
        var introduction = new TaskCompletionSource<JsonRpcMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        JsonRpcMessage initialize;
        lock (_gate)
        {
            initialize = _initialize!.Value;
            _introducedAs = initialize.Id;
            _introduction = introduction;
            _stage = Stage.Introducing;
        }

        return await _inner.SendAsync(initialize, default, _closing.Token)
            ? await introduction.Task.WaitAsync(_closing.Token)
            : JsonRpcWriter.Error(initialize.Id, JsonRpcErrorCode.UpstreamUnavailable, "the server is gone");
    }

    /// <summary>Answers what is held with the reason why the server cannot be had. What comes later waits for another sign-in.</summary>
    private void Refuse(SignInException refusal)
    {
        lock (_gate)
        {
            _refusal = refusal;
            foreach (var held in _held)
            {
                held.Refused.TrySetResult(refusal);
            }
        }
    }

    /// <summary>The server knows the client: what was held goes there in its order, and the client learns that there is more to see now.</summary>
    private async Task BringInAsync(JsonRpcMessage introduction)
    {
        _local!.Meet(introduction);
        _refusal = null;
        await FlushAsync();
        LogBroughtIn(_serverName);
        bool tell;
        lock (_gate)
        {
            tell = _isInitialized;
            _changesAreDue = !tell;
        }

        if (tell)
        {
            await TellChangesAsync();
        }
    }

    /// <summary>Hands on what is held, in its order; from then on everything goes to the server.</summary>
    private async Task FlushAsync()
    {
        while (true)
        {
            List<Held> batch;
            lock (_gate)
            {
                if (_held.Count == 0)
                {
                    _stage = Stage.Server;
                    break;
                }

                batch = [.. _held];
                _held.Clear();
            }

            foreach (var held in batch)
            {
                if (_local?.Answer(held.Message) is { } answer)
                {
                    await AnswerAsync(answer);
                    continue;
                }

                await held.SendToAsync(_inner, _closing.Token);
                _isInitialized |= held.Message.Is("notifications/initialized"u8);
            }
        }
    }

    private async Task MarkInitializedAsync()
    {
        bool tell;
        lock (_gate)
        {
            _isInitialized = true;
            tell = _changesAreDue;
            _changesAreDue = false;
        }

        if (tell)
        {
            await TellChangesAsync();
        }
    }

    private async Task TellChangesAsync()
    {
        foreach (var notification in LocalServer.Changes())
        {
            await AnswerAsync(notification);
        }
    }

    /// <summary>Tells the client, where it can be told, what its user has to do.</summary>
    private void OnPrompted(SignInPrompt prompt)
    {
        bool tell;
        lock (_gate)
        {
            tell = _receiver is not null && _initialize is not null && (_isInitialized || _held.Exists(held => held.Message.Is("notifications/initialized"u8)));
        }

        if (tell)
        {
            _ = AnswerAsync(LocalServer.Log(prompt.Text));
        }
    }

    private ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (message.Kind == JsonRpcMessageKind.Response && _initialize is { } initialize && message.Id == _introducedAs)
        {
            lock (_gate)
            {
                if (_stage == Stage.Introducing && _introduction is { } introduction)
                {
                    _introduction = null;
                    introduction.TrySetResult(message.Detach());
                    return ValueTask.CompletedTask;
                }
            }

            if (_stage == Stage.Asked)
            {
                return message.ErrorCode() == JsonRpcErrorCode.SignInNeeded && (_authorization.SignInUnderWay is { IsFaulted: false } || _authorization.MayPass)
                    ? TakeOverAsync(initialize)
                    : LetInAsync(message, related, cancellationToken);
            }
        }

        return _receiver!.ReceiveAsync(message, related, cancellationToken);
    }

    private async ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
    {
        if (fault.IsResponse && fault.Id == _introducedAs)
        {
            lock (_gate)
            {
                if (_stage == Stage.Introducing && _introduction is { } introduction)
                {
                    _introduction = null;
                    introduction.TrySetResult(JsonRpcWriter.Error(fault));
                    return;
                }
            }

            if (_stage == Stage.Asked)
            {
                StartFlushing();
            }
        }

        await _receiver!.FaultAsync(fault, cancellationToken);
    }

    private ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_stage is Stage.Local or Stage.Introducing)
            {
                // What the client waits for is here, not there.
                _introduction?.TrySetResult(JsonRpcWriter.Error(default, JsonRpcErrorCode.UpstreamUnavailable, reason));
                _introduction = null;
                return ValueTask.CompletedTask;
            }

            if (_stage == Stage.Asked)
            {
                // All of it is answered with the reason; nothing is left to be handed on.
                _held.Clear();
                _stage = Stage.Server;
            }
        }

        return _receiver!.AbandonedAsync(reason, cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Answering for {Server} until somebody has signed in")]
    private partial void LogLocal(string server);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Server} is still out of reach; the next call of a tool tries again")]
    private partial void LogNotIntroduced(string server);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Server} has taken over")]
    private partial void LogBroughtIn(string server);

    /// <summary>A message that waits for the server.</summary>
    private sealed class Held(JsonRpcMessage message)
    {
        private readonly ExecutionContext? _context = ExecutionContext.Capture();

        public JsonRpcMessage Message { get; } = message;

        /// <summary>Hands the message on as if it had not been held: it keeps the trace that it belongs to.</summary>
        public Task<bool> SendToAsync(IConnection connection, CancellationToken cancellationToken)
        {
            var sending = Task.FromResult(false);
            if (_context is null)
            {
                return connection.SendAsync(Message, default, cancellationToken).AsTask();
            }

            ExecutionContext.Run(_context, _ => sending = connection.SendAsync(Message, default, cancellationToken).AsTask(), null);
            return sending;
        }

        /// <summary>The error that the server's absence is answered with.</summary>
        public TaskCompletionSource<SignInException> Refused { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Inbound(SignInFront front) : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) => front.ReceiveAsync(message, related, cancellationToken);

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => front.FaultAsync(fault, cancellationToken);

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => front.AbandonedAsync(reason, cancellationToken);
    }
}
