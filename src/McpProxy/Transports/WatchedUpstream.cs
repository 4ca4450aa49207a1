using McpProxy.JsonRpc;

namespace McpProxy.Transports;

/// <summary>An upstream that tells when a connection of its ends without being asked to.</summary>
internal sealed class WatchedUpstream(IUpstream upstream, Action<ConnectionEnd> ended) : IUpstream
{
    public string Name => upstream.Name;

    public bool StartsServer => upstream.StartsServer;

    public IConnection Connect() => new Connection(upstream.Connect(), ended);

    private sealed class Connection(IConnection connection, Action<ConnectionEnd> ended) : IConnection
    {
        public bool HasRequestStreams => connection.HasRequestStreams;

        public Task Gone => connection.Gone;

        public void EndOfInput() => connection.EndOfInput();

        public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
        {
            var end = await connection.RunAsync(receiver, cancellationToken);
            if (end.Reason != ConnectionEndReason.Closed && !cancellationToken.IsCancellationRequested)
            {
                ended(end);
            }

            return end;
        }

        public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
            connection.SendAsync(message, related, cancellationToken);

        public ValueTask DisposeAsync() => connection.DisposeAsync();
    }
}
