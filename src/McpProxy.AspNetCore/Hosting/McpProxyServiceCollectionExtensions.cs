using McpProxy.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace McpProxy.AspNetCore;

/// <summary>Makes an application ready to offer MCP servers.</summary>
public static class McpProxyServiceCollectionExtensions
{
    /// <summary>
    /// Lets endpoints of <see cref="McpEndpointRouteBuilderExtensions"/> end in order with the application: requests in flight are answered
    /// first, then sessions and their servers end.
    /// </summary>
    /// <param name="services">The application's services.</param>
    /// <param name="configure">Sets what all endpoints have in common. Paths are each endpoint's own.</param>
    public static IServiceCollection AddMcpProxy(this IServiceCollection services, Action<McpEndpointOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddRouting();
        services.TryAddSingleton(provider => new HostedEndpoints(provider.GetServices<EndpointDefaults>()));
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, EndpointsShutdown>());
        if (configure is not null)
        {
            services.AddSingleton(new EndpointDefaults(configure));
        }

        return services;
    }
}
