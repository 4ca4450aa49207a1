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
