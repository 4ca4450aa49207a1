using McpProxy.EndToEnd.Tests.Clients;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>Exercises that run in every cell; one after the other, since cells are shared.</summary>
[Collection("matrix")]
public abstract class MatrixTest(ITestOutputHelper output, Cells cells) : EndToEndTest(output)
{
    private (Transport Downstream, Transport Upstream, Era Client, Era Server)? _opened;

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (HasFailed && _opened is var (downstream, upstream, client, server))
        {
            await cells.DiscardAsync(downstream, upstream, client, server);
        }

        GC.SuppressFinalize(this);
    }

    protected async Task<TestClient> OpenAsync(Transport downstream, Transport upstream, Era client, Era server)
    {
        _opened = (downstream, upstream, client, server);
        var cell = await cells.OpenAsync(downstream, upstream, client, server);
        Watch("standard error of the proxy", cell.ProxyErrors);
        return cell.Client;
    }
}
