using McpProxy.EndToEnd.Tests.Clients;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>Exercises that run in every bridged cell; one after the other, since cells are shared.</summary>
[Collection("matrix")]
public abstract class BridgedTest(ITestOutputHelper output, BridgedCells cells) : EndToEndTest(output)
{
    private (Transport Downstream, Transport Upstream, Era Client)? _opened;

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (HasFailed && _opened is var (downstream, upstream, client))
        {
            await cells.DiscardAsync(downstream, upstream, client);
        }

        GC.SuppressFinalize(this);
    }

    protected async Task<TestClient> OpenAsync(Transport downstream, Transport upstream, Era client)
    {
        _opened = (downstream, upstream, client);
        var cell = await cells.OpenAsync(downstream, upstream, client);
        Watch("standard error of the proxy", cell.ProxyErrors);
        return cell.Client;
    }
}
