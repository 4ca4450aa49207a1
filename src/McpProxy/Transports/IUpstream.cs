namespace McpProxy.Transports;

/// <summary>A way to reach a server. Each call makes a connection of its own, for one session.</summary>
public interface IUpstream
{
    /// <summary>What the upstream is, for logs: the command's name or the URL without its query.</summary>
    string Name { get; }

    /// <summary>
    /// Whether each connection starts a server of its own: then connections are dear, clients that can share one do, and a server that
    /// has died can be started again. Default: true.
    /// </summary>
    bool StartsServer => true;

    /// <summary>Makes a connection. Nothing that can take long happens here: a failure shows as the end of <see cref="IConnection.RunAsync"/>.</summary>
    IConnection Connect();
}
