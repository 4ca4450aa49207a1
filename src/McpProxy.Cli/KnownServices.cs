using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace McpProxy.Cli;

/// <summary>
/// What the web host asks its services for at every start, said outright. Else it makes them of open generics, and a native program has to
/// build each of those types while it starts: a third of all that serving does until it serves.
/// </summary>
internal static class KnownServices
{
    /// <summary>Adds them.</summary>
    public static void AddKnownServices(this IServiceCollection services)
    {
        // The host's own log has no reader.
        services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance);
        services.AddSingleton<IHostLifetime, NoLifetime>();

        // It validates what collects the host's metrics, and nobody does.
        services.RemoveAll<IStartupValidator>();
        Add<FormOptions>(services);
        Add<HostOptions>(services);
        Add<KestrelServerOptions>(services);
        Add<RouteHandlerOptions>(services);
        Add<RouteOptions>(services);
    }

    private static void Add<TOptions>(IServiceCollection services)
        where TOptions : class, new() =>
        services.AddSingleton<IOptions<TOptions>>(provider =>
        {
            var options = new TOptions();
            foreach (var configure in provider.GetServices<IConfigureOptions<TOptions>>())
            {
                configure.Configure(options);
            }

            return Options.Create(options);
        });

    /// <summary>The program itself hears the signals that end it.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
