using McpProxy.EndToEnd.Tests.Clients;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>Exercises that run in every cell; one after the other, since cells are shared.</summary>
[Collection("matrix")]
public abstract class MatrixTest(ITestOutputHelper output, Cells cells) : EndToEndTest(output)
{
    private (Transport Downstream, Transport Upstream, Era Era)? _opened;

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        if (HasFailed && _opened is var (downstream, upstream, era))
        {
            await cells.DiscardAsync(downstream, upstream, era);
        }

        GC.SuppressFinalize(this);
    }

    protected async Task<TestClient> OpenAsync(Transport downstream, Transport upstream, Era era)
    {
        _opened = (downstream, upstream, era);
        var cell = await cells.OpenAsync(downstream, upstream, era);
        Watch("standard error of the proxy", cell.ProxyErrors);
        return cell.Client;
    }
}
