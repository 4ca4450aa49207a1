using McpProxy.JsonRpc;

namespace McpProxy.Transports;

/// <summary>Takes what a connection's peer sends. Calls may come from several streams of the peer at once.</summary>
public interface IMessageReceiver
{
    /// <summary>A message has come.</summary>
    /// <param name="message">The message; its bytes are valid until the task completes.</param>
    /// <param name="related">The request, sent to this peer earlier, on whose stream the message came; none when the transport cannot tell.</param>
    /// <param name="cancellationToken">The connection is closing.</param>
    ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken);

    /// <summary>Something came that is no message. The sender is owed the fault's error, or whoever waits for it if it was a response.</summary>
    ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken);

    /// <summary>The peer lives on, but the requests sent to it so far will not be answered: its connection was replaced.</summary>
    /// <param name="reason">What happened, for those who wait.</param>
    /// <param name="cancellationToken">The connection is closing.</param>
    ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken);
}
