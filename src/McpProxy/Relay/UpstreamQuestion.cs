using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Relay;

/// <summary>Asks a stateless upstream one question on the proxy's own account.</summary>
internal sealed class UpstreamQuestion : IMessageReceiver
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(30);

    private readonly JsonRpcId _id;
    private readonly TaskCompletionSource<JsonRpcMessage?> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private UpstreamQuestion(JsonRpcId id) => _id = id;

    /// <summary>Sends a request and returns the answer; null when none came.</summary>
    public static async Task<JsonRpcMessage?> AskAsync(IUpstream upstream, JsonRpcMessage request, CancellationToken cancellationToken)
    {
        await using var connection = upstream.Connect();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var question = new UpstreamQuestion(request.Id);
        var running = connection.RunAsync(question, stop.Token);
        try
        {
            if (!await connection.SendAsync(request, default, stop.Token))
            {
                return null;
            }

            await Task.WhenAny(question._answer.Task, running).WaitAsync(s_timeout, stop.Token);
            return question._answer.Task.IsCompleted ? await question._answer.Task : null;
        }
        catch (TimeoutException)
        {
            return null;
        }
        finally
        {
            await stop.CancelAsync();
        }
    }

    public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (message.Kind == JsonRpcMessageKind.Response && message.Id == _id)
        {
            _answer.TrySetResult(message.Detach());
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
    {
        _answer.TrySetResult(null);
        return ValueTask.CompletedTask;
    }

    public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        _answer.TrySetResult(null);
        return ValueTask.CompletedTask;
    }
}
