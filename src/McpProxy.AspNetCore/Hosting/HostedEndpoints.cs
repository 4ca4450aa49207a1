using McpProxy.Transports;

namespace McpProxy.AspNetCore.Hosting;

/// <summary>The endpoints of an application, which end with it.</summary>
internal sealed class HostedEndpoints(IEnumerable<EndpointDefaults> defaults) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly List<(McpEndpoint Endpoint, McpEndpointOptions Options, IUpstream Upstream)> _endpoints = [];

    /// <summary>The options that an endpoint starts from.</summary>
    public McpEndpointOptions NewOptions()
    {
        var options = new McpEndpointOptions();
        foreach (var common in defaults)
        {
            common.Configure(options);
        }

        return options;
    }

    /// <summary>Makes an endpoint end with the application, and its upstream with it.</summary>
    public void Add(McpEndpoint endpoint, McpEndpointOptions options, IUpstream upstream)
    {
        lock (_gate)
        {
            _endpoints.Add((endpoint, options, upstream));
        }
    }

    /// <summary>Refuses new requests, answers those in flight, and ends everything.</summary>
    public async Task EndAsync(CancellationToken cancellationToken)
    {
        List<(McpEndpoint Endpoint, McpEndpointOptions Options, IUpstream Upstream)> all;
        lock (_gate)
        {
            all = [.. _endpoints];
            _endpoints.Clear();
        }

        await Task.WhenAll(all.Select(async entry =>
        {
            await entry.Endpoint.DrainAsync(entry.Options.Relay.DrainTimeout, cancellationToken);
            await entry.Endpoint.DisposeAsync();
            if (entry.Upstream is IAsyncDisposable disposable)
            {
                await disposable.DisposeAsync();
            }
        }));
    }

    public async ValueTask DisposeAsync() => await EndAsync(new CancellationToken(canceled: true));
}
