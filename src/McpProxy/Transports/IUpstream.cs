namespace McpProxy.Transports;

/// <summary>A way to reach a server. Each call makes a connection of its own, for one session.</summary>
public interface IUpstream
{
    /// <summary>What the upstream is, for logs: the command's name or the URL without its query.</summary>
    string Name { get; }

    /// <summary>Whether requests find their own way to the server (HTTP), so that none needs the connection that another one came on.</summary>
    bool IsHttp => false;

    /// <summary>Makes a connection. Nothing that can take long happens here: a failure shows as the end of <see cref="IConnection.RunAsync"/>.</summary>
    IConnection Connect();
}
