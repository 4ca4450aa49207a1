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
    private readonly Dictionary<(Transport Downstream, Transport Upstream, Era Era), Task<RunningCell>> _cells = [];
    private readonly Dictionary<Era, Task<TestServer>> _servers = [];

    /// <summary>Every cell that exists: HTTP+SSE has no modern era.</summary>
    public static TheoryData<Transport, Transport, Era> All
    {
        get
        {
            var all = new TheoryData<Transport, Transport, Era>();
            foreach (var era in new[] { Era.Legacy, Era.Modern })
            {
                foreach (var downstream in Enum.GetValues<Transport>())
                {
                    foreach (var upstream in Enum.GetValues<Transport>())
                    {
                        if (era == Era.Legacy || (downstream != Transport.Sse && upstream != Transport.Sse))
                        {
                            all.Add(downstream, upstream, era);
                        }
                    }
                }
            }

            return all;
        }
    }

    public static TheoryData<Transport, Transport> AllOf(Era era)
    {
        var some = new TheoryData<Transport, Transport>();
        foreach (var row in All.Where(row => row.Data.Item3 == era))
        {
            some.Add(row.Data.Item1, row.Data.Item2);
        }

        return some;
    }

    public Task<RunningCell> OpenAsync(Transport downstream, Transport upstream, Era era)
    {
        lock (_gate)
        {
            if (!_cells.TryGetValue((downstream, upstream, era), out var cell))
            {
                _cells[(downstream, upstream, era)] = cell = StartAsync(downstream, upstream, era);
            }

            return cell;
        }
    }

    /// <summary>Replaces a cell that a test has failed in: it may be broken, and the next test must not suffer for it.</summary>
    public async Task DiscardAsync(Transport downstream, Transport upstream, Era era)
    {
        Task<RunningCell>? cell;
        lock (_gate)
        {
            _cells.Remove((downstream, upstream, era), out cell);
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

    private async Task<RunningCell> StartAsync(Transport downstream, Transport upstream, Era era) =>
        await RunningCell.StartAsync(downstream, await TargetAsync(upstream, era), TestClient.VersionOf(era));
}
