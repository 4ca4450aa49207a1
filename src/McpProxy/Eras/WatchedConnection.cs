using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>A connection that carries a modern client's requests as they are, and whose answers are watched.</summary>
internal sealed class WatchedConnection(IConnection inner, EraDoubt doubt) : IConnection
{
    public bool HasRequestStreams => inner.HasRequestStreams;

    public Task Gone => inner.Gone;

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken) =>
        inner.RunAsync(new AnswerWatch(receiver, doubt, isModern: true), cancellationToken);

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) => inner.SendAsync(message, related, cancellationToken);

    public void EndOfInput() => inner.EndOfInput();

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
