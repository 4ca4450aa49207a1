using Microsoft.Extensions.Hosting;

namespace McpProxy.AspNetCore.Hosting;

/// <summary>Ends the endpoints before the web server does: their streams are what it would wait for.</summary>
internal sealed class EndpointsShutdown(HostedEndpoints endpoints) : IHostedLifecycleService
{
    public Task StoppingAsync(CancellationToken cancellationToken) => endpoints.EndAsync(cancellationToken);

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
