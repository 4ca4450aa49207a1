using System.Text;
using McpProxy.JsonRpc;
using Microsoft.Extensions.Logging;

namespace McpProxy.Eras.LegacyClient;

/// <summary>
/// The stream on which a modern server tells of changes, for a session whose client expects to be told by itself (MCP
/// 2026-07-28, "Subscriptions"). When the client's subscriptions change another stream is opened, and the old one closed
/// only when the server has acknowledged the new one, so that no change falls between.
/// </summary>
internal sealed partial class ListenStream(LegacyClientStage stage, BridgeContext context) : IDisposable
{
    private const int MaxSubscriptions = 10_000;
    private static readonly TimeSpan s_firstRetry = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_maxRetry = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_acknowledgeTimeout = TimeSpan.FromSeconds(30);

    private static readonly (string Capability, string Filter, string Notification)[] s_kinds =
    [
        ("tools", "toolsListChanged", "\"notifications/tools/list_changed\""),
        ("prompts", "promptsListChanged", "\"notifications/prompts/list_changed\""),
        ("resources", "resourcesListChanged", "\"notifications/resources/list_changed\""),
    ];

    private readonly CancellationTokenSource _closing = new();
    private readonly SemaphoreSlim _changing = new(1, 1);
    private readonly Lock _gate = new();
    private readonly HashSet<string> _uris = new(StringComparer.Ordinal);
    private readonly List<(string Capability, string Filter, string Notification)> _kinds = [];
    private Stream? _current;
    private Stream? _opening;
    private bool _isUnknown;

    /// <summary>Opens the stream for what the server says it can tell.</summary>
    /// <param name="capabilities">JSON text of the server's capabilities.</param>
    public void Start(ReadOnlyMemory<byte> capabilities)
    {
        lock (_gate)
        {
            if (_kinds.Count > 0)
            {
                return;
            }

            foreach (var kind in s_kinds)
            {
                if (JsonMembers.Find(JsonMembers.Find(capabilities, Encoding.UTF8.GetBytes(kind.Capability)), "listChanged"u8).Span.SequenceEqual("true"u8))
                {
                    _kinds.Add(kind);
                }
            }

            if (_kinds.Count == 0)
            {
                return;
            }
        }

        _ = ReopenAsync(s_firstRetry, wasBroken: false);
    }

    /// <summary>Adds or takes away a resource, and answers the client once the server has acknowledged that.</summary>
    public async Task ChangeAsync(string uri, bool isAdded, JsonRpcId request)
    {
        try
        {
            await _changing.WaitAsync(_closing.Token);
            string? problem = null;
            try
            {
                bool isChanged;
                lock (_gate)
                {
                    isChanged = isAdded ? _uris.Count < MaxSubscriptions && _uris.Add(uri) : _uris.Remove(uri);
                    problem = isAdded && !isChanged && !_uris.Contains(uri) ? $"too many resources are subscribed to ({MaxSubscriptions})" : null;
                }

                if (isChanged)
                {
                    problem = await OpenAsync(uri: isAdded ? uri : null);
                }

                if (problem is not null && isAdded)
                {
                    lock (_gate)
                    {
                        _uris.Remove(uri);
                    }
                }
            }
            finally
            {
                _changing.Release();
            }

            await stage.ToClientAsync(
                problem is null ? MessageEdit.Result(request, "{}"u8) : JsonRpcWriter.Error(request, JsonRpcErrorCode.InternalError, $"cannot subscribe: {problem}"), request);
        }
        catch (OperationCanceledException)
        {
            // The session is closing, and answers what is left.
        }
    }

    /// <summary>Something has come on a stream.</summary>
    public async Task NotifiedAsync(JsonRpcMessage message, JsonRpcId subscription, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (message.Is("notifications/subscriptions/acknowledged"u8))
            {
                if (_opening is { } opening && opening.Id == subscription)
                {
                    // From here on the new one has the word, so that nothing is told twice.
                    (_current, _opening) = (opening, null);
                    opening.Acknowledged.TrySetResult(JsonMembers.Find(message.Params, "notifications"u8).ToArray());
                }

                return;
            }

            if (_current is null || _current.Id != subscription)
            {
                return;
            }
        }

        cancellationToken.ThrowIfCancellationRequested();
        await stage.ToClientAsync(LegacyResult.FromSubscription(message), default);
    }

    /// <summary>A stream has ended; the current one is opened anew.</summary>
    /// <param name="id">Which one; none for whichever there is.</param>
    /// <param name="isFinal">Whether the server knows no such streams.</param>
    /// <returns>False when it is none of the streams.</returns>
    public bool Ended(JsonRpcId id, bool isFinal)
    {
        lock (_gate)
        {
            if (_opening is { } opening && (id.IsNone || opening.Id == id))
            {
                _opening = null;
                _isUnknown |= isFinal;
                opening.Acknowledged.TrySetException(new InvalidOperationException(isFinal ? "the server knows no subscriptions" : "the server ended the stream"));
                return true;
            }

            if (_current is null || !(id.IsNone || _current.Id == id))
            {
                return false;
            }

            _current = null;
        }

        if (!isFinal)
        {
            LogBroken(context.Logger);
            _ = ReopenAsync(s_firstRetry, wasBroken: true);
        }

        return true;
    }

    /// <summary>Opens no stream any more.</summary>
    public void Stop()
    {
        _closing.Cancel();
        lock (_gate)
        {
            _opening?.Acknowledged.TrySetCanceled();
        }
    }

    public void Dispose() => Stop();

    /// <summary>Opens the stream until that works. What may have been missed meanwhile is told as changes of which nothing more is known.</summary>
    private async Task ReopenAsync(TimeSpan wait, bool wasBroken)
    {
        try
        {
            while (true)
            {
                if (wasBroken)
                {
                    await Task.Delay(wait, context.Time, _closing.Token);
                }

                await _changing.WaitAsync(_closing.Token);
                string? problem;
                try
                {
                    if (_current is not null)
                    {
                        // A change of the subscriptions was quicker.
                        return;
                    }

                    problem = await OpenAsync(uri: null);
                }
                finally
                {
                    _changing.Release();
                }

                if (problem is null)
                {
                    if (wasBroken)
                    {
                        await TellMissedAsync();
                    }

                    return;
                }

                LogNotOpened(context.Logger, problem);
                if (_isUnknown)
                {
                    return;
                }

                wait = wait * 2 < s_maxRetry ? wait * 2 : s_maxRetry;
                wasBroken = true;
            }
        }
        catch (OperationCanceledException)
        {
            // Closing.
        }
    }

    private async Task TellMissedAsync()
    {
        List<JsonRpcMessage> changes;
        lock (_gate)
        {
            changes =
            [
                .. _kinds.Select(kind => MessageEdit.Notification(Encoding.UTF8.GetBytes(kind.Notification), default)),
                .. _uris.Select(uri => MessageEdit.Notification("\"notifications/resources/updated\""u8, [.. "{\"uri\":"u8, .. ObjectEdit.Quoted(uri), (byte)'}'])),
            ];
        }

        foreach (var change in changes)
        {
            await stage.ToClientAsync(change, default);
        }
    }

    /// <summary>Opens a stream for what is wanted now, and closes the one before it.</summary>
    /// <param name="uri">A resource that the server has to agree to.</param>
    /// <returns>Why it cannot be had; null when it can.</returns>
    private async Task<string?> OpenAsync(string? uri)
    {
        var stream = new Stream();
        Stream? old;
        ReadOnlyMemory<byte> filter;
        string? problem = null;
        lock (_gate)
        {
            old = _current;
            filter = Filter();
            if (filter.IsEmpty)
            {
                _current = null;
            }
        }

        if (!filter.IsEmpty)
        {
            await stage.ListenAsync(filter, id => Opening(stream, id), _closing.Token);
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token);
            await Task.WhenAny(stream.Acknowledged.Task, Task.Delay(s_acknowledgeTimeout, context.Time, stop.Token));
            await stop.CancelAsync();
            _closing.Token.ThrowIfCancellationRequested();
            if (!stream.Acknowledged.Task.IsCompleted)
            {
                lock (_gate)
                {
                    _opening = _opening == stream ? null : _opening;
                }

                await stage.CloseListenAsync(stream.Id, _closing.Token);
                return "the server does not acknowledge the subscription";
            }

            try
            {
                var granted = await stream.Acknowledged.Task;
                problem = uri is not null && !Names(granted, uri) ? "the server does not tell of changes of this resource" : null;
            }
            catch (InvalidOperationException e)
            {
                return e.Message;
            }
        }

        if (old is not null)
        {
            await stage.CloseListenAsync(old.Id, _closing.Token);
        }

        return problem;
    }

    private void Opening(Stream stream, JsonRpcId id)
    {
        lock (_gate)
        {
            stream.Id = id;
            _opening = stream;
        }
    }

    /// <summary>The parameters of the listen request; empty when there is nothing to listen for.</summary>
    private ReadOnlyMemory<byte> Filter()
    {
        var filter = new ObjectEdit(default);
        foreach (var kind in _kinds)
        {
            filter.Set(kind.Filter, "true"u8.ToArray());
        }

        if (_uris.Count > 0)
        {
            var quoted = _uris.Select(uri => Encoding.UTF8.GetString(ObjectEdit.Quoted(uri)));
            filter.Set("resourceSubscriptions", Encoding.UTF8.GetBytes($"[{string.Join(',', quoted)}]"));
        }

        return filter.IsEmpty ? default : new ObjectEdit(default).Set("notifications", filter.ToUtf8()).ToUtf8();
    }

    private static bool Names(ReadOnlyMemory<byte> granted, string uri)
    {
        var uris = JsonMembers.Find(granted, "resourceSubscriptions"u8);
        return uris.Span is [(byte)'[', ..] && JsonRpcMessage.TrySplitBatch(uris, out var items, out _) && items.Exists(item => JsonMembers.AsString(item) == uri);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The stream of changes has ended: opening it again")]
    private static partial void LogBroken(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The stream of changes cannot be opened: {Problem}")]
    private static partial void LogNotOpened(ILogger logger, string problem);

    private sealed class Stream
    {
        public JsonRpcId Id { get; set; }

        /// <summary>What the server has agreed to, JSON text.</summary>
        public TaskCompletionSource<ReadOnlyMemory<byte>> Acknowledged { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
