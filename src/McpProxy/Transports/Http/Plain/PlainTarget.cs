using System.Net;

namespace McpProxy.Transports.Http.Plain;

/// <summary>What a URL means for a request: whom to connect to, and what to ask for there.</summary>
internal sealed class PlainTarget
{
    public PlainTarget(Uri uri)
    {
        Uri = uri;
        Host = uri.IdnHost;
        Port = uri.Port;
        var name = uri.HostNameType == UriHostNameType.IPv6 ? uri.Host : uri.IdnHost;
        HostHeader = uri.IsDefaultPort ? name : $"{name}:{uri.Port}";
        PathAndQuery = uri.PathAndQuery;
    }

    public Uri Uri { get; }

    /// <summary>The name or address to connect to.</summary>
    public string Host { get; }

    public int Port { get; }

    public string HostHeader { get; }

    public string PathAndQuery { get; }

    /// <summary>Where to connect to. An address needs no name service, which would be asked on another thread.</summary>
    public EndPoint EndPoint => IPAddress.TryParse(Host, out var address) ? new IPEndPoint(address, Port) : new DnsEndPoint(Host, Port);
}
