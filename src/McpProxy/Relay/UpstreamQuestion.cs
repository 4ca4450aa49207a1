using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Relay;

/// <summary>Asks an upstream one question on the proxy's own account, on a connection of its own.</summary>
internal sealed class UpstreamQuestion : IMessageReceiver
{
    private readonly JsonRpcId _id;
    private readonly TaskCompletionSource<UpstreamAnswer> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private UpstreamQuestion(JsonRpcId id) => _id = id;

    /// <summary>Sends a request and waits for the answer.</summary>
    public static async Task<UpstreamAnswer> AskAsync(IUpstream upstream, JsonRpcMessage request, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        await using var connection = upstream.Connect();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var question = new UpstreamQuestion(request.Id);
        var running = connection.RunAsync(question, stop.Token);
        try
        {
            // What cannot be sent is answered by the connection's end.
            await connection.SendAsync(request, default, stop.Token);
            await Task.WhenAny(question._answer.Task, running).WaitAsync(timeout, time, stop.Token);
            return question._answer.Task.IsCompleted ? await question._answer.Task : new(null, (await running).Detail);
        }
        catch (TimeoutException)
        {
            return new(null, $"the server did not answer within {timeout.TotalSeconds} s");
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
            _answer.TrySetResult(new(message.Detach(), ""));
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
    {
        _answer.TrySetResult(new(null, $"the server's answer cannot be read: {fault.Message}"));
        return ValueTask.CompletedTask;
    }

    public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        _answer.TrySetResult(new(null, reason));
        return ValueTask.CompletedTask;
    }
}
