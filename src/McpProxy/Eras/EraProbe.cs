using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>Asks a server with <c>server/discover</c> which era it speaks.</summary>
/// <param name="request">The question: the client's own when it has asked, else <see cref="Question"/>.</param>
/// <param name="next">Who gets everything that is not the answer; null when nobody does.</param>
internal sealed class EraProbe(JsonRpcMessage request, IMessageReceiver? next) : IMessageReceiver
{
    private readonly TaskCompletionSource<JsonRpcMessage> _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The question on the proxy's own account.</summary>
    public static JsonRpcMessage Question { get; } = JsonSplice.Reparse(
        """{"jsonrpc":"2.0","id":"mcp-proxy/server/discover","method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"mcp-proxy","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"""u8.ToArray());

    /// <summary>The answer, should it come after all.</summary>
    public Task<JsonRpcMessage> Answer => _answer.Task;

    /// <summary>Asks, and waits for the answer for as long as a server may be silent.</summary>
    public async Task<ProbeOutcome> AskAsync(OpenConnection connection, TimeSpan timeout, TimeProvider time, CancellationToken cancellationToken)
    {
        connection.GiveTo(this);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var patience = Task.Delay(timeout, time, stop.Token);

        // Not awaited by itself: a child that does not read is as silent as one that does not answer.
        var asking = connection.SendAsync(request, default, stop.Token).AsTask();
        var first = await Task.WhenAny(Task.WhenAll(asking, _answer.Task), connection.Ended, patience);
        cancellationToken.ThrowIfCancellationRequested();
        if (first == patience)
        {
            return new(ProbeVerdict.Silent);
        }

        await stop.CancelAsync();
        if (!_answer.Task.IsCompletedSuccessfully)
        {
            return new(ProbeVerdict.Ended);
        }

        var answer = await _answer.Task;
        return new(ProbeOutcome.Of(answer), answer);
    }

    public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (message.Kind == JsonRpcMessageKind.Response && message.Id == request.Id)
        {
            _answer.TrySetResult(message.Detach());
            return ValueTask.CompletedTask;
        }

        return next?.ReceiveAsync(message, related, cancellationToken) ?? ValueTask.CompletedTask;
    }

    public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken)
    {
        if (fault.IsResponse && fault.Id == request.Id)
        {
            _answer.TrySetResult(JsonRpcWriter.Error(fault));
            return ValueTask.CompletedTask;
        }

        return next?.FaultAsync(fault, cancellationToken) ?? ValueTask.CompletedTask;
    }

    public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken)
    {
        _answer.TrySetResult(JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.UpstreamUnavailable, reason));
        return next?.AbandonedAsync(reason, cancellationToken) ?? ValueTask.CompletedTask;
    }
}
