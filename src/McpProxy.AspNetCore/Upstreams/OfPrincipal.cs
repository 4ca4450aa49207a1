using McpProxy.Eras;
using McpProxy.Transports;

namespace McpProxy.AspNetCore.Upstreams;

/// <summary>The way to a server for the modern requests of one principal.</summary>
internal sealed class OfPrincipal(IPrincipalUpstream upstream, string? principal) : IUpstream
{
    public string Name => upstream.Name;

    public bool StartsServer => upstream.StartsServer;

    public IConnection Connect() => upstream.Connect(principal);
}
