using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras.ModernClient;

/// <summary>
/// A modern client's request that has not been answered. What it is sent is queued, within bounds: other clients may use the
/// same session with the server, which must not wait for one that reads slowly.
/// </summary>
/// <param name="stage">The connection that it came on.</param>
/// <param name="message">The request, with bytes of its own.</param>
internal sealed class ClientRequest(ModernClientStage stage, JsonRpcMessage message)
{
    private const int MaxQueuedMessages = 10_000;
    private const int MaxQueuedBytes = TransportDefaults.MaxMessageSize;

    private readonly Lock _gate = new();
    private readonly Queue<(JsonRpcMessage Message, bool IsAnswer)> _queue = new();
    private Func<Task>? _cancel;
    private Task _delivering = Task.CompletedTask;
    private int _queuedBytes;
    private bool _isDelivering;
    private bool _isCancelled;
    private bool _isAnswered;

    public JsonRpcMessage Message { get; } = message;

    public JsonRpcId Id => Message.Id;

    public string Method { get; } = System.Text.Encoding.UTF8.GetString(message.Method);

    public JsonRpcId ProgressToken { get; } = message.ProgressToken();

    /// <summary>The rank of the least severe log messages that it wants; negative for none.</summary>
    public int LogRank { get; } = LogSeverity.RankOf(JsonMembers.AsString(JsonMembers.Find(message.Meta(), "io.modelcontextprotocol/logLevel"u8)));

    /// <summary>Says who works on the request, and how to take it back from there.</summary>
    public Task GiveToAsync(Func<Task> cancel)
    {
        lock (_gate)
        {
            _cancel = cancel;
            return _isCancelled ? cancel() : Task.CompletedTask;
        }
    }

    /// <summary>Takes the request back, whoever has it now.</summary>
    public Task CancelAsync()
    {
        lock (_gate)
        {
            _isCancelled = true;
            return _cancel?.Invoke() ?? Task.CompletedTask;
        }
    }

    /// <summary>Sends the client its answer. What is returned completes when the client has it; the server's messages must not wait for that.</summary>
    public Task AnswerAsync(JsonRpcMessage answer)
    {
        lock (_gate)
        {
            if (!_isAnswered)
            {
                _isAnswered = true;
                Enqueue(answer, isAnswer: true);
            }

            return _delivering;
        }
    }

    /// <summary>Sends the client something on the stream of this request; returns at once.</summary>
    /// <param name="notification">The message, with bytes of its own.</param>
    public void Notify(JsonRpcMessage notification)
    {
        lock (_gate)
        {
            if (_isAnswered)
            {
                return;
            }

            if (_queue.Count < MaxQueuedMessages && _queuedBytes <= MaxQueuedBytes)
            {
                Enqueue(notification, isAnswer: false);
                return;
            }

            _isAnswered = true;
            _queue.Clear();
            _queuedBytes = 0;
            Enqueue(JsonRpcWriter.Error(Id, JsonRpcErrorCode.UpstreamUnavailable, "the client reads too slowly: the request was given up"), isAnswer: true);
        }

        _ = CancelAsync();
    }

    private void Enqueue(in JsonRpcMessage message, bool isAnswer)
    {
        _queue.Enqueue((message, isAnswer));
        _queuedBytes += message.Utf8.Length;
        if (!_isDelivering)
        {
            _isDelivering = true;
            _delivering = DeliverAsync();
        }
    }

    private async Task DeliverAsync()
    {
        // Started under the lock.
        await Task.Yield();
        while (true)
        {
            (JsonRpcMessage Message, bool IsAnswer) next;
            lock (_gate)
            {
                if (!_queue.TryDequeue(out next))
                {
                    _isDelivering = false;
                    return;
                }

                _queuedBytes -= next.Message.Utf8.Length;
            }

            await stage.DeliverAsync(this, next.Message, next.IsAnswer);
        }
    }
}
