using McpProxy.Transports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore;

/// <summary>Offers MCP servers from an ASP.NET Core application.</summary>
public static class McpEndpointRouteBuilderExtensions
{
    /// <summary>Offers an upstream at the paths that the options name. Its sessions end with the application.</summary>
    /// <param name="routes">The application.</param>
    /// <param name="upstream">The server.</param>
    /// <param name="options">Paths and bounds; the defaults when null.</param>
    /// <returns>A builder for conventions such as <c>RequireAuthorization</c>.</returns>
    public static IEndpointConventionBuilder MapMcpProxy(this IEndpointRouteBuilder routes, IUpstream upstream, McpEndpointOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(routes);
        var services = routes.ServiceProvider;
        var endpoint = new McpEndpoint(upstream, options, services.GetService<TimeProvider>(), services.GetService<ILoggerFactory>());
        services.GetService<IHostApplicationLifetime>()?.ApplicationStopping.Register(() => _ = endpoint.DisposeAsync().AsTask());
        return endpoint.Map(routes);
    }
}
