using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace McpProxy.AspNetCore.Operations;

/// <summary>Shows those who run an application how its MCP endpoints do.</summary>
public static class OperationsRouteBuilderExtensions
{
    /// <summary>Offers health, readiness and metrics at the paths that the options name. Measuring begins with this call.</summary>
    /// <param name="routes">The application.</param>
    /// <param name="endpoint">The options of the MCP endpoint: hosts, origins and gates are the same here.</param>
    /// <param name="options">What is shown, and where; the defaults when null.</param>
    public static void MapMcpProxyOperations(this IEndpointRouteBuilder routes, McpEndpointOptions? endpoint = null, OperationsOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(routes);
        var services = routes.ServiceProvider;
        var operations = new OperationsEndpoint(options ?? new(), endpoint ?? new(), services.GetService<TimeProvider>() ?? TimeProvider.System);
        services.GetService<IHostApplicationLifetime>()?.ApplicationStopped.Register(operations.Dispose);
        operations.Map(routes);
    }
}
