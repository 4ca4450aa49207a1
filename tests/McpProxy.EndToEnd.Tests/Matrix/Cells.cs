using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;
using McpProxy.EndToEnd.Tests.Programs;

[assembly: AssemblyFixture(typeof(Cells))]

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>
/// The running cells of the matrix, each started when the first test needs it and kept for the others: starting programs is
/// what costs time.
/// </summary>
public sealed class Cells : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(Transport Downstream, Transport Upstream, Era Client, Era Server), Task<RunningCell>> _cells = [];
    private readonly Dictionary<Era, Task<TestServer>> _servers = [];

    /// <summary>Every cell that exists, client and server of one era or of both: HTTP+SSE has no modern era.</summary>
    public static TheoryData<Transport, Transport, Era, Era> All
    {
        get
        {
            var all = new TheoryData<Transport, Transport, Era, Era>();
            foreach (var client in new[] { Era.Legacy, Era.Modern })
            {
                foreach (var server in new[] { Era.Legacy, Era.Modern })
                {
                    foreach (var (downstream, upstream) in Pairs(client, server))
                    {
                        all.Add(downstream, upstream, client, server);
                    }
                }
            }

            return all;
        }
    }

    /// <summary>The cells whose client is of an era, and whose server is of the same.</summary>
    public static TheoryData<Transport, Transport> AllOf(Era era) => Between(era, era);

    /// <summary>The cells whose client and server are of these eras.</summary>
    public static TheoryData<Transport, Transport> Between(Era client, Era server)
    {
        var some = new TheoryData<Transport, Transport>();
        foreach (var (downstream, upstream) in Pairs(client, server))
        {
            some.Add(downstream, upstream);
        }

        return some;
    }

    public Task<RunningCell> OpenAsync(Transport downstream, Transport upstream, Era client, Era server)
    {
        lock (_gate)
        {
            if (!_cells.TryGetValue((downstream, upstream, client, server), out var cell))
            {
                _cells[(downstream, upstream, client, server)] = cell = StartAsync(downstream, upstream, client, server);
            }

            return cell;
        }
    }

    /// <summary>Replaces a cell that a test has failed in: it may be broken, and the next test must not suffer for it.</summary>
    public async Task DiscardAsync(Transport downstream, Transport upstream, Era client, Era server)
    {
        Task<RunningCell>? cell;
        lock (_gate)
        {
            _cells.Remove((downstream, upstream, client, server), out cell);
        }

        if (cell is not null)
        {
            await EndAsync(cell);
        }
    }

    /// <summary>What the proxy is told to connect to, for a server of one era over one transport.</summary>
    public async Task<IReadOnlyList<string>> TargetAsync(Transport upstream, Era era)
    {
        if (upstream == Transport.Stdio)
        {
            return ["--", .. TestServer.Command(era)];
        }

        Task<TestServer>? server;
        lock (_gate)
        {
            if (!_servers.TryGetValue(era, out server))
            {
                _servers[era] = server = TestServer.StartAsync(era);
            }
        }

        return [(await server).At(upstream).AbsoluteUri];
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_cells.Values.Select(EndAsync));
        foreach (var server in _servers.Values)
        {
            await (await server).DisposeAsync();
        }
    }

    private static async Task EndAsync(Task<RunningCell> cell)
    {
        RunningCell running;
        try
        {
            running = await cell;
        }
        catch (InvalidOperationException)
        {
            // It never ran; the tests have said so.
            return;
        }

        await running.DisposeAsync();
    }

    private static IEnumerable<(Transport Downstream, Transport Upstream)> Pairs(Era client, Era server) =>
        from downstream in Enum.GetValues<Transport>()
        from upstream in Enum.GetValues<Transport>()
        where (client == Era.Legacy || downstream != Transport.Sse) && (server == Era.Legacy || upstream != Transport.Sse)
        select (downstream, upstream);

    private async Task<RunningCell> StartAsync(Transport downstream, Transport upstream, Era client, Era server) =>
        await RunningCell.StartAsync(downstream, await TargetAsync(upstream, server), TestClient.VersionOf(client));
}
