using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>A server that is started again for modern clients, and asked anew what it speaks each time: it may be another program by now.</summary>
internal sealed class ProbedUpstream(BridgeContext context, ServerStarts starts) : IUpstream
{
    public string Name => context.Upstream.Name;

    public bool StartsServer => context.Upstream.StartsServer;

    public IConnection Connect() => new ProbedConnection(context, starts);
}
