using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Relay;

/// <summary>
/// One connection to a server of the modern era that many clients use at once: stateless requests need no child each
/// (MCP 2026-07-28, "stdio"). Ids and progress tokens are replaced by unique ones on the way up and restored on the way
/// down, so that no client can see or touch what is another's.
/// </summary>
/// <param name="upstream">Makes the connection: when the first request comes, and anew after the server has died.</param>
/// <param name="logger">Where it logs.</param>
public sealed partial class SharedUpstream(IUpstream upstream, ILogger? logger = null) : IUpstream, IAsyncDisposable
{
    private static readonly TimeSpan s_leaveTimeout = TimeSpan.FromSeconds(1);

    private readonly ILogger _logger = logger ?? NullLogger.Instance;
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, Route> _routes = [];
    private readonly CancellationTokenSource _closing = new();
    private long _lastId;
    private Shared? _shared;
    private bool _hasConnected;

    /// <inheritdoc/>
    public string Name => upstream.Name;

    /// <inheritdoc/>
    public IConnection Connect() => new SharedLane(this);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        Shared? shared;
        lock (_gate)
        {
            shared = _shared;
        }

        if (shared is not null)
        {
            await shared.Connection.DisposeAsync();
            await shared.Running;
        }

        _closing.Dispose();
    }

    /// <summary>Sends a client's message under ids of our own.</summary>
    internal async ValueTask<bool> SendAsync(SharedLane lane, JsonRpcMessage message, CancellationToken cancellationToken)
    {
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Request:
                var id = JsonRpcId.FromNumber(Interlocked.Increment(ref _lastId));
                var token = message.ProgressToken();
                var route = new Route(lane, message.Id.Detach(), token.Detach(), AsksForLogs(message));
                lock (_gate)
                {
                    _routes.Add(id, route);
                }

                if (await Connection().SendAsync(WithIds(message, id, token), default, cancellationToken))
                {
                    return true;
                }

                // The server's end answers this lane with the reason.
                return false;
            case JsonRpcMessageKind.Notification:
                var cancelled = message.CancelledRequest();
                if (cancelled.IsNone)
                {
                    return await Connection().SendAsync(message, default, cancellationToken);
                }

                if (RemoveRoute(lane, cancelled) is { } own)
                {
                    var requestId = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "requestId"u8));
                    await Connection().SendAsync(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (requestId, own.Utf8Text))), default, cancellationToken);
                }

                return true;
            default:
                // A modern client sends no responses: nothing could be waiting for it.
                return false;
        }
    }

    /// <summary>Cancels what a client that is gone has left in flight.</summary>
    internal async ValueTask LeaveAsync(SharedLane lane)
    {
        List<JsonRpcId> abandoned;
        lock (_gate)
        {
            abandoned = [.. _routes.Where(entry => entry.Value.Lane == lane).Select(entry => entry.Key)];
            foreach (var id in abandoned)
            {
                _routes.Remove(id);
            }
        }

        if (abandoned.Count == 0 || _shared is not { } shared)
        {
            return;
        }

        // Bounded: a server that does not read must not keep a client's session from ending.
        using var timeout = new CancellationTokenSource(s_leaveTimeout);
        try
        {
            foreach (var id in abandoned)
            {
                await shared.Connection.SendAsync(JsonRpcWriter.Cancelled(id, "the client is gone"), default, timeout.Token)
                    .AsTask().WaitAsync(timeout.Token);
            }
        }
        catch (OperationCanceledException)
        {
            LogLeftBehind(Name, abandoned.Count);
        }
    }

    private IConnection Connection()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, this);
            if (_shared is null)
            {
                if (_hasConnected)
                {
                    ProxyMeter.ChildRestarted();
                }

                _hasConnected = true;

                // The server outlives the request that it is started for: that one's trace and log scope end with it.
                using (ExecutionContext.SuppressFlow())
                {
                    var connection = upstream.Connect();
                    _shared = new(connection);
                    _shared.Running = RunAsync(_shared);
                }
            }

            return _shared.Connection;
        }
    }

    private async Task RunAsync(Shared shared)
    {
        // Started under the lock, which its end takes again.
        await Task.Yield();
        ConnectionEnd end;
        try
        {
            end = await shared.Connection.RunAsync(new Receiver(this), _closing.Token);
        }
        catch (Exception e)
        {
            // A defect of ours must not leave every client waiting for a server that is not read any more.
            LogDefect(e, Name);
            end = new(ConnectionEndReason.TransportFailed, "the proxy failed to read the server");
        }

        List<Route> orphans;
        lock (_gate)
        {
            // The next request starts a server anew.
            _shared = _shared == shared && !_closing.IsCancellationRequested ? null : _shared;

            // When it is this side that closes, the sessions end by themselves, each in its own way.
            orphans = _closing.IsCancellationRequested ? [] : [.. _routes.Values];
            _routes.Clear();
        }

        LogEnded(Name, end.Detail);
        foreach (var route in orphans)
        {
            await route.Lane.DeliverAsync(JsonRpcWriter.Error(route.Id, JsonRpcErrorCode.UpstreamUnavailable, end.Detail), route.Id);
        }

        await shared.Connection.DisposeAsync();
    }

    private ValueTask ReceiveAsync(JsonRpcMessage message)
    {
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Response:
                return Remove(message.Id) is { } answered ? answered.Lane.DeliverAsync(Restored(message, answered), answered.Id) : Dropped(message);
            case JsonRpcMessageKind.Request:
                // No server of the modern era asks; one that does is told at once that nobody will answer.
                return new(RefuseAsync(message));
            default:
                return Notify(message);
        }
    }

    private ValueTask Notify(JsonRpcMessage message)
    {
        var token = message.ProgressToken();
        if (message.Is("notifications/progress"u8) && Find(token) is { } inProgress)
        {
            var range = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "progressToken"u8));
            return inProgress.Lane.DeliverAsync(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (range, inProgress.ProgressToken.Utf8Text))), inProgress.Id);
        }

        if (Find(message.SubscriptionId()) is { } subscribed)
        {
            return subscribed.Lane.DeliverAsync(JsonSplice.Reparse(RestoreSubscription(message.Utf8, message.ParamsRange, subscribed.Id)), subscribed.Id);
        }

        if (Find(message.CancelledRequest()) is { } torn)
        {
            var range = JsonSplice.RangeOf(message.Utf8, JsonMembers.Find(message.Params, "requestId"u8));
            return torn.Lane.DeliverAsync(JsonSplice.Reparse(JsonSplice.Apply(message.Utf8, (range, torn.Id.Utf8Text))), torn.Id);
        }

        return message.Is("notifications/message"u8) && OnlyOneThatAsksForLogs() is { } logged
            ? logged.Lane.DeliverAsync(message, logged.Id)
            : Dropped(message);
    }

    private ValueTask Dropped(in JsonRpcMessage message)
    {
        LogDropped(message);
        return ValueTask.CompletedTask;
    }

    private async Task RefuseAsync(JsonRpcMessage request) =>
        await Connection().SendAsync(
            JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.MethodNotFound, "a client of this protocol version takes no requests"), default, _closing.Token);

    private Route? Find(JsonRpcId id)
    {
        lock (_gate)
        {
            return _routes.GetValueOrDefault(id);
        }
    }

    private Route? Remove(JsonRpcId id)
    {
        lock (_gate)
        {
            return _routes.Remove(id, out var route) ? route : null;
        }
    }

    private JsonRpcId? RemoveRoute(SharedLane lane, JsonRpcId id)
    {
        lock (_gate)
        {
            foreach (var (ours, route) in _routes)
            {
                if (route.Lane == lane && route.Id == id)
                {
                    _routes.Remove(ours);
                    return ours;
                }
            }
        }

        return null;
    }

    /// <summary>
    /// A log message of the modern era names no request. While one request alone asks for logs it is the one; with more,
    /// passing it on could show one client what is another's.
    /// </summary>
    private Route? OnlyOneThatAsksForLogs()
    {
        lock (_gate)
        {
            Route? only = null;
            foreach (var route in _routes.Values)
            {
                if (route.AsksForLogs)
                {
                    if (only is not null)
                    {
                        return null;
                    }

                    only = route;
                }
            }

            return only;
        }
    }

    private static bool AsksForLogs(in JsonRpcMessage request) =>
        request.Params.Span.IndexOf("io.modelcontextprotocol/logLevel"u8) >= 0
        && !JsonMembers.Find(request.Meta(), "io.modelcontextprotocol/logLevel"u8).IsEmpty;

    private static JsonRpcMessage WithIds(in JsonRpcMessage request, JsonRpcId id, JsonRpcId token)
    {
        var text = id.Utf8Text;
        if (token.IsNone)
        {
            return JsonSplice.Reparse(JsonSplice.Apply(request.Utf8, (request.IdRange, text)));
        }

        var tokenRange = JsonSplice.RangeOf(request.Utf8, JsonMembers.Find(request.Meta(), "progressToken"u8));
        return JsonSplice.Reparse(request.IdRange.Start.Value < tokenRange.Start.Value
            ? JsonSplice.Apply(request.Utf8, (request.IdRange, text), (tokenRange, text))
            : JsonSplice.Apply(request.Utf8, (tokenRange, text), (request.IdRange, text)));
    }

    private static JsonRpcMessage Restored(in JsonRpcMessage response, Route route)
    {
        var restored = JsonSplice.WithId(response, route.Id);
        return restored.Result.Span.IndexOf("io.modelcontextprotocol/subscriptionId"u8) < 0
            ? restored
            : JsonSplice.Reparse(RestoreSubscription(restored.Utf8, restored.ResultRange, route.Id));
    }

    /// <summary>Puts the client's own id of a subscription in place of ours, where a message names it.</summary>
    private static ReadOnlyMemory<byte> RestoreSubscription(ReadOnlyMemory<byte> utf8, Range holder, JsonRpcId id)
    {
        var subscription = JsonMembers.Find(JsonMembers.Find(utf8[holder], "_meta"u8), "io.modelcontextprotocol/subscriptionId"u8);
        return subscription.IsEmpty ? utf8 : JsonSplice.Apply(utf8, (JsonSplice.RangeOf(utf8, subscription), id.Utf8Text));
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} does not read: {Count} requests of a client that is gone could not be cancelled")]
    private partial void LogLeftBehind(string name, int count);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The shared connection to {Name} ended: {Detail}")]
    private partial void LogEnded(string name, string detail);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while relaying from {Name}")]
    private partial void LogDefect(Exception exception, string name);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Not delivered, it cannot be told to whom it belongs: {Message}")]
    private partial void LogDropped(JsonRpcMessage message);

    /// <summary>One request in flight: whose it is and what it was called there.</summary>
    private sealed record Route(SharedLane Lane, JsonRpcId Id, JsonRpcId ProgressToken, bool AsksForLogs);

    private sealed class Shared(IConnection connection)
    {
        public IConnection Connection { get; } = connection;

        public Task Running { get; set; } = Task.CompletedTask;
    }

    private sealed class Receiver(SharedUpstream shared) : IMessageReceiver
    {
        public async ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            try
            {
                await shared.ReceiveAsync(message);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                shared.LogDefect(e, shared.Name);
                if (message.Kind == JsonRpcMessageKind.Response && shared.Remove(message.Id) is { } route)
                {
                    await route.Lane.DeliverAsync(JsonRpcWriter.Error(route.Id, JsonRpcErrorCode.InternalError, "the proxy failed to pass the answer on"), route.Id);
                }
            }
        }

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => !fault.IsResponse || shared.Remove(fault.Id) is not { } route
            ? ValueTask.CompletedTask
            : route.Lane.DeliverAsync(JsonRpcWriter.Error(route.Id, JsonRpcErrorCode.InternalError, $"the answer cannot be passed on: {fault.Message}"), route.Id);

        public async ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken)
        {
            List<Route> abandoned;
            lock (shared._gate)
            {
                abandoned = [.. shared._routes.Values];
                shared._routes.Clear();
            }

            foreach (var route in abandoned)
            {
                await route.Lane.DeliverAsync(JsonRpcWriter.Error(route.Id, JsonRpcErrorCode.UpstreamUnavailable, reason), route.Id);
            }
        }
    }
}
