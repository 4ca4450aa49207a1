using McpProxy.Transports;

namespace McpProxy.Cli.Demo;

/// <summary>The small server of the demo. It lives in this process; every connection sees the same counter.</summary>
internal sealed class DemoUpstream : IUpstream
{
    private readonly Lock _gate = new();
    private readonly List<DemoConnection> _connections = [];
    private int _calls;

    public string Name => "demo";

    public int Calls => Volatile.Read(ref _calls);

    public IConnection Connect()
    {
        var connection = new DemoConnection(this);
        lock (_gate)
        {
            _connections.Add(connection);
        }

        return connection;
    }

    public void Disconnected(DemoConnection connection)
    {
        lock (_gate)
        {
            _connections.Remove(connection);
        }
    }

    /// <summary>Counts a call, which changes the resource that shows the count.</summary>
    public async Task CountCallAsync()
    {
        Interlocked.Increment(ref _calls);
        DemoConnection[] connections;
        lock (_gate)
        {
            connections = [.. _connections];
        }

        foreach (var connection in connections)
        {
            await connection.ResourceChangedAsync();
        }
    }
}
