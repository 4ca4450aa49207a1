using System.Net;

namespace McpProxy.Transports.Http;

/// <summary>The proxies of the environment, except for what runs on this machine.</summary>
internal sealed class SystemProxies : IWebProxy
{
    private readonly IWebProxy _system = HttpClient.DefaultProxy;

    public ICredentials? Credentials { get => _system.Credentials; set => _system.Credentials = value; }

    public Uri? GetProxy(Uri destination) => IsBypassed(destination) ? null : _system.GetProxy(destination);

    public bool IsBypassed(Uri host) => host.IsLoopback || _system.IsBypassed(host);
}
