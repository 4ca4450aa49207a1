using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>
/// Hands on what a server says, looking at nothing but whether its answers are such as a server of its era gives. One that is
/// not reaches the client when it was found out what the server speaks now, so that the client's next request is right.
/// </summary>
/// <param name="next">Who gets the messages.</param>
/// <param name="doubt">What finds out.</param>
/// <param name="isModern">Whether what comes ought to be of the modern era.</param>
internal sealed class AnswerWatch(IMessageReceiver next, EraDoubt doubt, bool isModern) : IMessageReceiver
{
    public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        EraDoubt.IsRaisedBy(message, isModern) ? ReceiveDoubtedAsync(message, related, cancellationToken) : next.ReceiveAsync(message, related, cancellationToken);

    public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => next.FaultAsync(fault, cancellationToken);

    public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => next.AbandonedAsync(reason, cancellationToken);

    private async ValueTask ReceiveDoubtedAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        await doubt.ResolveAsync().WaitAsync(cancellationToken);
        await next.ReceiveAsync(message, related, cancellationToken);
    }
}
