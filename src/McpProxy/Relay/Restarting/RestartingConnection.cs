using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;

namespace McpProxy.Relay.Restarting;

/// <summary>One session's connection to a server that is started again when it has died.</summary>
internal sealed partial class RestartingConnection : IConnection
{
    private static readonly TimeSpan s_introductionTimeout = TimeSpan.FromSeconds(60);

    private readonly IUpstream _upstream;
    private readonly Action<ConnectionEnd> _died;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly RestartBackoff _backoff;
    private readonly SessionReplay _replay = new();
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<IMessageReceiver> _receiver = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly HashSet<JsonRpcId> _waiting = [];
    private Incarnation? _current;
    private Task<Incarnation?>? _starting;
    private Task _running = Task.CompletedTask;
    private volatile string _problem = "the server cannot be started";
    private int _disposed;

    public RestartingConnection(IUpstream upstream, Action<ConnectionEnd> died, TimeProvider time, ILogger logger)
    {
        _upstream = upstream;
        _died = died;
        _time = time;
        _logger = logger;
        _backoff = new(time);
        _current = new(upstream.Connect());
    }

    public bool HasRequestStreams => _current?.Connection.HasRequestStreams ?? false;

    public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        await using var closing = cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
        _receiver.TrySetResult(receiver);
        lock (_gate)
        {
            if (_current is { } first && !_closing.IsCancellationRequested)
            {
                _running = RunAsync(first, receiver);
            }
        }

        return await _ended.Task;
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        Incarnation? incarnation;
        bool isReady;
        lock (_gate)
        {
            incarnation = _current;
            isReady = incarnation is not null && _starting is null;
            if (isReady || message.Kind == JsonRpcMessageKind.Response)
            {
                // Together with the look at who lives: what a server was told before it died is answered by its death, and nothing else.
                incarnation?.Told(message);
            }
        }

        if (!isReady && message.Kind == JsonRpcMessageKind.Request)
        {
            return SendToNextAsync(message, related, cancellationToken);
        }

        _replay.Observe(message);
        if (isReady)
        {
            return incarnation!.Connection.SendAsync(message, related, cancellationToken);
        }

        // What else is said to a server that is dead, the next one hears from the replay if it matters; but it may ask while it is being introduced.
        Withdraw(message.CancelledRequest());
        return message.Kind == JsonRpcMessageKind.Response && incarnation is not null ? incarnation.Connection.SendAsync(message, related, cancellationToken) : new(false);
    }

    public void EndOfInput()
    {
        lock (_gate)
        {
            _current?.Connection.EndOfInput();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        Incarnation? current;
        Task<Incarnation?>? starting;
        await _closing.CancelAsync();
        lock (_gate)
        {
            (current, starting) = (_current, _starting);
        }

        if (starting is not null)
        {
            current = await starting ?? current;
        }

        if (current is not null)
        {
            await current.Connection.DisposeAsync();
        }

        await _running;
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        _closing.Dispose();
    }

    /// <summary>Sends a request to the server that takes the place of the dead one.</summary>
    private async ValueTask<bool> SendToNextAsync(JsonRpcMessage request, JsonRpcId related, CancellationToken cancellationToken)
    {
        var id = request.Id.Detach();
        lock (_gate)
        {
            _waiting.Add(id);
        }

        var incarnation = await StartAgainAsync(request.Is("initialize"u8)).WaitAsync(cancellationToken);
        if (!Withdraw(id))
        {
            // Given up in the meantime: the new server need not begin with it.
            return true;
        }

        bool isAlive;
        lock (_gate)
        {
            isAlive = incarnation is not null && incarnation == _current;
            if (isAlive)
            {
                incarnation!.Told(request);
            }
        }

        if (!isAlive)
        {
            if (!_closing.IsCancellationRequested)
            {
                await FailAsync(await _receiver.Task, id, incarnation?.EndDetail ?? _problem);
            }

            return false;
        }

        _replay.Observe(request);
        return await incarnation!.Connection.SendAsync(request, related, cancellationToken);
    }

    private static ValueTask FailAsync(IMessageReceiver receiver, JsonRpcId id, string reason) =>
        receiver.ReceiveAsync(JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, reason), id, CancellationToken.None);

    private bool Withdraw(JsonRpcId waiting)
    {
        lock (_gate)
        {
            return !waiting.IsNone && _waiting.Remove(waiting);
        }
    }

    private Task<Incarnation?> StartAgainAsync(bool isIntroduction)
    {
        lock (_gate)
        {
            if (_closing.IsCancellationRequested)
            {
                return Task.FromResult<Incarnation?>(null);
            }

            if (_starting is null && _current is { } current)
            {
                return Task.FromResult<Incarnation?>(current);
            }

            // The server outlives the request that it is started for: that one's trace and log scope end with it.
            using (ExecutionContext.SuppressFlow())
            {
                return _starting ??= ReviveAsync(isIntroduction);
            }
        }
    }

    /// <summary>Starts the server after its back-off; null, with the reason kept, when it cannot be had.</summary>
    private async Task<Incarnation?> ReviveAsync(bool isIntroduction)
    {
        // Started under the lock, which is taken again below.
        await Task.Yield();
        Incarnation? incarnation = null;
        string? problem = null;
        var receiver = await _receiver.Task;
        try
        {
            if (_backoff.Remaining is { Ticks: > 0 } wait)
            {
                LogBackingOff(_upstream.Name, wait.TotalSeconds);
                await Task.Delay(wait, _time, _closing.Token);
            }

            _closing.Token.ThrowIfCancellationRequested();
            _backoff.Started();
            incarnation = new(_upstream.Connect());
            LogRestarting(_upstream.Name);
            ProxyMeter.ChildRestarted();
            lock (_gate)
            {
                _current = incarnation;
                _running = Task.WhenAll(_running, RunAsync(incarnation, receiver));
            }

            problem = isIntroduction ? null : await IntroduceAsync(incarnation);
        }
        catch (OperationCanceledException)
        {
            problem = "the session is closing";
        }
        catch (TimeoutException)
        {
            problem = $"the server was started again and did not answer initialize within {s_introductionTimeout.TotalSeconds} s";
        }
        finally
        {
            _problem = problem ?? _problem;
            lock (_gate)
            {
                _starting = null;
            }
        }

        if (problem is null)
        {
            return incarnation;
        }

        LogRestartFailed(_upstream.Name, problem);
        if (incarnation is not null && !incarnation.IsDead && !_closing.IsCancellationRequested)
        {
            // Alive, and of no use to anybody: the next request tries another.
            await incarnation.Connection.DisposeAsync();
        }

        return null;
    }

    /// <summary>Tells a new server what the client had told the one before it.</summary>
    /// <returns>What went wrong; null when nothing did.</returns>
    private async Task<string?> IntroduceAsync(Incarnation incarnation)
    {
        if (_replay.Initialize is not { } initialize)
        {
            return null;
        }

        var answer = await incarnation.AskAsync(initialize).WaitAsync(s_introductionTimeout, _time, _closing.Token);
        if (answer is not { IsError: false })
        {
            return answer is null ? incarnation.EndDetail : "the server was started again and refused to initialize";
        }

        foreach (var message in _replay.Rest())
        {
            if (message.Kind != JsonRpcMessageKind.Request)
            {
                await incarnation.Connection.SendAsync(message, default, _closing.Token);
            }
            else if (await incarnation.AskAsync(message).WaitAsync(s_introductionTimeout, _time, _closing.Token) is { IsError: true })
            {
                LogNotRestored(message);
            }
        }

        return incarnation.IsDead ? incarnation.EndDetail : null;
    }

    private async Task RunAsync(Incarnation incarnation, IMessageReceiver receiver)
    {
        await Task.Yield();
        ConnectionEnd end;
        try
        {
            end = await incarnation.Connection.RunAsync(new Receiver(incarnation, receiver, _backoff), _closing.Token);
        }
        catch (Exception e)
        {
            // A defect of ours must not leave the session waiting for a server that is not read any more.
            LogDefect(e, _upstream.Name);
            end = new(ConnectionEndReason.TransportFailed, "the proxy failed to read the server");
        }

        lock (_gate)
        {
            // At once: who learns of the death must not be sent to the dead again.
            incarnation.Die(end.Detail);
            if (_current == incarnation)
            {
                _current = null;
                _backoff.Died();
            }
        }

        if (!_closing.IsCancellationRequested)
        {
            LogDied(_upstream.Name, end.Detail);
            _died(end);
            await BuryAsync(incarnation, receiver, end.Detail);
        }

        await incarnation.Connection.DisposeAsync();
    }

    /// <summary>Answers what a dead server was asked, and takes back what it has asked; who waits for the next one is not concerned.</summary>
    private static async Task BuryAsync(Incarnation dead, IMessageReceiver receiver, string reason)
    {
        var (requests, questions) = dead.Unfinished();
        foreach (var id in questions)
        {
            await receiver.ReceiveAsync(JsonRpcWriter.Cancelled(id, reason), default, CancellationToken.None);
        }

        foreach (var id in requests)
        {
            await FailAsync(receiver, id, reason);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} ended; the next request starts it again: {Detail}")]
    private partial void LogDied(string name, string detail);

    [LoggerMessage(Level = LogLevel.Information, Message = "Starting {Name} again")]
    private partial void LogRestarting(string name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} keeps ending: it is started again in {Seconds:F1} s")]
    private partial void LogBackingOff(string name, double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} could not be started again: {Problem}")]
    private partial void LogRestartFailed(string name, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The server that was started again refused what the one before it had accepted: {Message}")]
    private partial void LogNotRestored(JsonRpcMessage message);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while relaying from {Name}")]
    private partial void LogDefect(Exception exception, string name);

    /// <summary>Hands on what the server says, except the answers to what the client did not ask this server.</summary>
    private sealed class Receiver(Incarnation incarnation, IMessageReceiver receiver, RestartBackoff backoff) : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            if (!incarnation.Says(message))
            {
                return ValueTask.CompletedTask;
            }

            if (message.Kind == JsonRpcMessageKind.Response)
            {
                backoff.Worked();
            }

            return receiver.ReceiveAsync(message, related, cancellationToken);
        }

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
        {
            if (fault.IsResponse)
            {
                incarnation.Garbled(fault.Id);
            }

            return receiver.FaultAsync(fault, cancellationToken);
        }

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => receiver.AbandonedAsync(reason, cancellationToken);
    }
}
