using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras.ModernClient;

/// <summary>Makes a legacy server look to a modern client like one of its own era: each request finds the session that it belongs to.</summary>
internal sealed partial class ModernClientStage : IConnection
{
    private static readonly TimeSpan s_leaveTimeout = TimeSpan.FromSeconds(1);

    private readonly BridgeContext _context;
    private readonly LegacySessionPool _sessions;
    private readonly string? _principal;
    private readonly bool _staysWithServer;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, ClientRequest> _open = [];
    private readonly HashSet<LegacySession> _kept = [];
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IMessageReceiver? _receiver;
    private int _disposed;

    /// <param name="context">The bridge.</param>
    /// <param name="sessions">Where sessions are.</param>
    /// <param name="principal">Who the client is; null when nobody is told apart.</param>
    /// <param name="staysWithServer">Whether the sessions that this client uses are its own as long as it is there, and their end is its.</param>
    public ModernClientStage(BridgeContext context, LegacySessionPool sessions, string? principal, bool staysWithServer)
    {
        _context = context;
        _sessions = sessions;
        _principal = principal;
        _staysWithServer = staysWithServer;
    }

    public bool HasRequestStreams => true;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
        return _ended.Task;
    }

    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (_closing.IsCancellationRequested)
        {
            return false;
        }

        if (message.Kind == JsonRpcMessageKind.Request)
        {
            var request = new ClientRequest(this, message.Detach());
            lock (_gate)
            {
                _open[request.Id] = request;
            }

            // Requests of this era have nothing to do with each other: none waits for another.
            _ = ServeAsync(request);
            return true;
        }

        var cancelled = message.CancelledRequest();
        ClientRequest? taken = null;
        if (!cancelled.IsNone)
        {
            lock (_gate)
            {
                _open.Remove(cancelled, out taken);
            }
        }

        await (taken?.CancelAsync() ?? Task.CompletedTask);
        return true;
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _closing.CancelAsync();
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        List<ClientRequest> open;
        List<LegacySession> kept;
        lock (_gate)
        {
            open = [.. _open.Values];
            kept = [.. _kept];
            _open.Clear();
            _kept.Clear();
        }

        // Bounded: a server that does not read must not keep a client from leaving.
        await Task.WhenAny(Task.WhenAll(open.Select(request => request.CancelAsync())), Task.Delay(s_leaveTimeout, _context.Time));
        kept.ForEach(session => session.Release());
        if (_staysWithServer)
        {
            await Task.WhenAll(kept.Where(session => session.TryClose()).Select(session => session.DisposeAsync().AsTask()));
        }
    }

    /// <summary>Sends the client what belongs to a request, if it still wants that.</summary>
    /// <param name="request">The request.</param>
    /// <param name="message">The message.</param>
    /// <param name="isAnswer">Whether this is the last there is.</param>
    internal async Task DeliverAsync(ClientRequest request, JsonRpcMessage message, bool isAnswer)
    {
        lock (_gate)
        {
            if (_open.GetValueOrDefault(request.Id) != request)
            {
                return;
            }

            if (isAnswer)
            {
                _open.Remove(request.Id);
            }
        }

        try
        {
            await _receiver!.ReceiveAsync(message, request.Id, _closing.Token);
        }
        catch (OperationCanceledException)
        {
            // The client is gone.
        }
    }

    private async Task ServeAsync(ClientRequest request)
    {
        try
        {
            await Task.Yield();
            if (RequestCheck.Problem(request.Message) is { } problem)
            {
                await request.AnswerAsync(problem);
            }
            else if (JsonMembers.Find(request.Message.Params, "requestState"u8) is { IsEmpty: false } state)
            {
                await ResumeAsync(request, JsonMembers.AsString(state));
            }
            else
            {
                await BeginAsync(request);
            }
        }
        catch (OperationCanceledException)
        {
            await request.AnswerAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.UpstreamUnavailable, "the session with the server is closing"));
        }
        catch (Exception e)
        {
            LogDefect(_context.Logger, e, request.Message);
            await request.AnswerAsync(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InternalError, "the proxy failed to pass the message on"));
        }
    }

    private async Task BeginAsync(ClientRequest request)
    {
        if (_sessions.Lease(SessionKey.Of(_principal, request.Message)) is not { } session)
        {
            await request.AnswerAsync(JsonRpcWriter.Error(
                request.Id, JsonRpcErrorCode.UpstreamUnavailable, $"too many clients use the server ({_context.Options.MaxSessions} sessions); try again later"));
            return;
        }

        try
        {
            Keep(session);
            var introduction = await session.Introduction.WaitAsync(_closing.Token);
            if (introduction.IsError)
            {
                await RefuseAsync(request, session, introduction);
            }
            else if (request.Message.Is("server/discover"u8))
            {
                await request.AnswerAsync(await session.DiscoveredAsync(request.Id));
            }
            else if (request.Message.Is("subscriptions/listen"u8))
            {
                await session.ListenAsync(request);
            }
            else
            {
                await session.ForwardAsync(request);
            }
        }
        finally
        {
            session.Release();
        }
    }

    private async Task RefuseAsync(ClientRequest request, LegacySession session, JsonRpcMessage introduction)
    {
        if (_staysWithServer && session.Ended.IsCompleted && (await session.Ended).Reason != ConnectionEndReason.Closed)
        {
            // The end itself is the answer, and says more.
            return;
        }

        await request.AnswerAsync(JsonSplice.WithId(introduction, request.Id));
    }

    private async Task ResumeAsync(ClientRequest request, string? state)
    {
        var binding = RequestStateSeal.BindingOf(_principal, request.Method, request.Message.Params);
        if (state is not null && _sessions.Waiting.Seal.Open(state, binding) is { } opened
            && opened.Expiry >= _context.Time.GetUtcNow().ToUnixTimeSeconds()
            && _sessions.Waiting.Find(opened.Call) is var (session, call)
            && await session.ResumeAsync(call, opened.Round, request))
        {
            return;
        }

        ProxyMeter.StateRefused();
        await request.AnswerAsync(JsonRpcWriter.Error(
            request.Id, JsonRpcErrorCode.InvalidParams, "Invalid params: \"requestState\" is not the one that this call waits for, or has lapsed; make the call anew without it"));
    }

    /// <summary>Holds on to a session for a client that stays.</summary>
    private void Keep(LegacySession session)
    {
        if (!_staysWithServer)
        {
            return;
        }

        lock (_gate)
        {
            if (!_kept.Add(session))
            {
                return;
            }

            session.TryLease();
        }

        _ = FollowAsync(session);
    }

    private async Task FollowAsync(LegacySession session)
    {
        var end = await session.Ended;
        bool isKept;
        lock (_gate)
        {
            isKept = _kept.Remove(session);
        }

        if (isKept)
        {
            _ended.TrySetResult(end);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while serving {Message}")]
    private static partial void LogDefect(ILogger logger, Exception exception, JsonRpcMessage message);
}
