namespace McpProxy.Transports;

/// <summary>An upstream whose connections have nothing before them.</summary>
internal sealed class DirectUpstream(IFrontedUpstream upstream) : IUpstream
{
    public string Name => upstream.Name;

    public bool StartsServer => upstream.StartsServer;

    public IConnection Connect() => upstream.ConnectDirectly();
}
