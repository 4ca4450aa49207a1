using System.Net;

namespace McpProxy.Transports.Http;

/// <summary>The proxies of the environment, except for what runs on this machine.</summary>
internal sealed class SystemProxies : IWebProxy
{
    private readonly Lazy<IWebProxy> _system = new(() => HttpClient.DefaultProxy);

    public ICredentials? Credentials { get => _system.Value.Credentials; set => _system.Value.Credentials = value; }

    public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? null : _system.Value.GetProxy(destination);

    public bool IsBypassed(Uri host) => host.IsLoopback || _system.Value.IsBypassed(host);
}
