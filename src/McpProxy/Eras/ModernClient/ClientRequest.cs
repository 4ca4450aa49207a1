using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>A modern client's request that has not been answered.</summary>
/// <param name="stage">The connection that it came on.</param>
/// <param name="message">The request, with bytes of its own.</param>
internal sealed class ClientRequest(ModernClientStage stage, JsonRpcMessage message)
{
    private readonly Lock _gate = new();
    private Func<Task>? _cancel;
    private bool _isCancelled;

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

    /// <summary>Sends the client its answer.</summary>
    public Task AnswerAsync(JsonRpcMessage answer) => stage.AnswerAsync(this, answer);

    /// <summary>Sends the client something on the stream of this request.</summary>
    public Task NotifyAsync(JsonRpcMessage notification) => stage.NotifyAsync(this, notification);
}
