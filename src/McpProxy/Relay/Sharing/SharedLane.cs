using McpProxy.Buffers;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Relay.Sharing;

/// <summary>
/// One client's way over a shared connection. What comes down is queued here when the client is slow, within bounds: the
/// shared connection never waits for one client at the cost of the others.
/// </summary>
internal sealed class SharedLane(SharedUpstream shared) : IConnection
{
    private const int MaxQueuedMessages = 10_000;
    private const int MaxQueuedBytes = TransportDefaults.MaxMessageSize;

    private readonly Lock _gate = new();
    private readonly Queue<(JsonRpcMessage Message, JsonRpcId Related, RentedMemory Memory)> _queue = new();
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IMessageReceiver? _receiver;
    private CancellationToken _cancellation;
    private int _queuedBytes;
    private bool _delivering;
    private bool _isOver;

    public bool HasRequestStreams => true;

    /// <summary>Whether the client has sent anything.</summary>
    public bool HasSpoken { get; set; }

    /// <summary>Whether the client is gone.</summary>
    public bool IsOver => _ended.Task.IsCompleted;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        _cancellation = cancellationToken;
        cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
        return _ended.Task;
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        shared.SendAsync(this, message, cancellationToken);

    public ValueTask DisposeAsync()
    {
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        Forget();
        return shared.LeaveAsync(this);
    }

    /// <summary>The server is gone for good.</summary>
    public void End(ConnectionEnd end) => _ended.TrySetResult(end);

    /// <summary>Takes a message for the client; returns at once.</summary>
    /// <param name="message">The message.</param>
    /// <param name="related">The client's request that it belongs to, or none.</param>
    /// <param name="isOwn">Whether its bytes are nobody else's and will last, so that they need not be copied.</param>
    /// <param name="memory">What to give back when the message has been taken.</param>
    public void Deliver(JsonRpcMessage message, JsonRpcId related, bool isOwn = false, RentedMemory memory = default)
    {
        lock (_gate)
        {
            if (_isOver)
            {
                memory.Dispose();
                return;
            }

            if (_queue.Count >= MaxQueuedMessages || _queuedBytes > MaxQueuedBytes)
            {
                memory.Dispose();
                _ended.TrySetResult(new(ConnectionEndReason.TransportFailed, "the client reads too slowly"));
                return;
            }

            message = isOwn ? message : message.Detach();
            if (_delivering)
            {
                _queue.Enqueue((message, related, memory));
                _queuedBytes += message.Utf8.Length;
                return;
            }

            _delivering = true;
        }

        // Most clients are never behind: for them there is no queue, and nobody who waits.
#pragma warning disable CA2012 // Awaited once, after a look at whether that takes its time.
        ValueTask receiving;
        try
        {
            receiving = _receiver!.ReceiveAsync(message, related, _cancellation);
        }
        catch (Exception e)
        {
            receiving = ValueTask.FromException(e);
        }
#pragma warning restore CA2012

        if (!receiving.IsCompletedSuccessfully)
        {
            _ = DeliverOnAsync(receiving, memory);
            return;
        }

        memory.Dispose();
        lock (_gate)
        {
            _delivering = _queue.Count > 0;
            if (!_delivering)
            {
                return;
            }
        }

        _ = DeliverOnAsync(default, default);
    }

    /// <summary>Lets go of what nobody will take any more.</summary>
    private void Forget()
    {
        lock (_gate)
        {
            _isOver = true;
            while (_queue.TryDequeue(out var left))
            {
                left.Memory.Dispose();
            }

            _queuedBytes = 0;
        }
    }

    /// <summary>Waits until a message was taken, and delivers what is queued.</summary>
    private async Task DeliverOnAsync(ValueTask receiving, RentedMemory memory)
    {
        try
        {
            using (memory)
            {
                await receiving;
            }

            while (TryTakeNext(out var next))
            {
                using (next.Memory)
                {
                    await _receiver!.ReceiveAsync(next.Message, next.Related, _cancellation);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The client is gone: what is queued has no reader.
            Forget();
        }
    }

    /// <summary>Takes what is queued; when that is nothing, nobody is delivering any more.</summary>
    private bool TryTakeNext(out (JsonRpcMessage Message, JsonRpcId Related, RentedMemory Memory) next)
    {
        lock (_gate)
        {
            if (!_queue.TryDequeue(out next))
            {
                _delivering = false;
                return false;
            }

            _queuedBytes -= next.Message.Utf8.Length;
            return true;
        }
    }
}
