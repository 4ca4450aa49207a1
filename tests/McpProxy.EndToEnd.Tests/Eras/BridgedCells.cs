using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>Clients of one era with servers of the other, over every transport that each has; started once, like <see cref="Cells"/>.</summary>
public sealed class BridgedCells(Cells cells) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(Transport Downstream, Transport Upstream, Era Client), Task<RunningCell>> _cells = [];

    /// <summary>Every cell that exists: HTTP+SSE has no modern era.</summary>
    public static TheoryData<Transport, Transport, Era> All
    {
        get
        {
            var all = new TheoryData<Transport, Transport, Era>();
            foreach (var client in new[] { Era.Legacy, Era.Modern })
            {
                foreach (var (downstream, upstream) in Pairs(client))
                {
                    all.Add(downstream, upstream, client);
                }
            }

            return all;
        }
    }

    public static TheoryData<Transport, Transport> LegacyClients => Of(Era.Legacy);

    public static TheoryData<Transport, Transport> ModernClients => Of(Era.Modern);

    public Task<RunningCell> OpenAsync(Transport downstream, Transport upstream, Era client)
    {
        lock (_gate)
        {
            return _cells.TryGetValue((downstream, upstream, client), out var cell) ? cell : _cells[(downstream, upstream, client)] = StartAsync(downstream, upstream, client);
        }
    }

    /// <summary>Replaces a cell that a test has failed in.</summary>
    public async Task DiscardAsync(Transport downstream, Transport upstream, Era client)
    {
        Task<RunningCell>? cell;
        lock (_gate)
        {
            _cells.Remove((downstream, upstream, client), out cell);
        }

        if (cell is { IsCompletedSuccessfully: true })
        {
            await (await cell).DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var cell in _cells.Values.Where(cell => cell.IsCompletedSuccessfully))
        {
            await (await cell).DisposeAsync();
        }
    }

    private static TheoryData<Transport, Transport> Of(Era client)
    {
        var pairs = new TheoryData<Transport, Transport>();
        foreach (var (downstream, upstream) in Pairs(client))
        {
            pairs.Add(downstream, upstream);
        }

        return pairs;
    }

    private static IEnumerable<(Transport Downstream, Transport Upstream)> Pairs(Era client) =>
        from downstream in Enum.GetValues<Transport>()
        from upstream in Enum.GetValues<Transport>()
        where (client == Era.Modern ? downstream : upstream) != Transport.Sse
        select (downstream, upstream);

    private async Task<RunningCell> StartAsync(Transport downstream, Transport upstream, Era client) =>
        await RunningCell.StartAsync(downstream, await cells.TargetAsync(upstream, client == Era.Legacy ? Era.Modern : Era.Legacy), TestClient.VersionOf(client));
}
