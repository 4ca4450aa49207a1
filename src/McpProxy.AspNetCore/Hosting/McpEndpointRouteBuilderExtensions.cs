using McpProxy.AspNetCore.Hosting;
using McpProxy.Transports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore;

/// <summary>Offers MCP servers from an ASP.NET Core application.</summary>
public static class McpEndpointRouteBuilderExtensions
{
    /// <summary>
    /// Offers a server at a path: Streamable HTTP of every revision at the path itself, HTTP+SSE below it (<c>/sse</c>, <c>/messages</c>). A session belongs to the
    /// user who opened it, as the application's own authentication tells users apart.
    /// </summary>
    /// <param name="routes">The application. Its services must have been prepared with <see cref="McpProxyServiceCollectionExtensions.AddMcpProxy"/>.</param>
    /// <param name="path">The path, such as <c>/mcp</c>.</param>
    /// <param name="upstream">Names the server: <c>upstream => upstream.Stdio("npx", "-y", "server")</c>.</param>
    /// <param name="configure">Sets what is this endpoint's own, paths too.</param>
    /// <returns>A builder for conventions such as <c>RequireAuthorization</c>, <c>RequireCors</c> and <c>RequireRateLimiting</c>.</returns>
    /// <exception cref="InvalidOperationException"><see cref="McpProxyServiceCollectionExtensions.AddMcpProxy"/> was not called.</exception>
    /// <exception cref="ArgumentException">The options do not fit the server.</exception>
    public static IEndpointConventionBuilder MapMcpProxy(
        this IEndpointRouteBuilder routes, string path, Func<UpstreamBuilder, IUpstream> upstream, Action<McpEndpointOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(routes);
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(upstream);
        var services = routes.ServiceProvider;
        var endpoints = services.GetService<HostedEndpoints>() ?? throw new InvalidOperationException("Call services.AddMcpProxy() before MapMcpProxy.");
        var options = endpoints.NewOptions();
        options.StreamableHttpPath = path;
        options.SsePath = path.TrimEnd('/') + "/sse";
        options.MessagesPath = path.TrimEnd('/') + "/messages";
        configure?.Invoke(options);
        var server = upstream(new(services));
        var endpoint = new McpEndpoint(server, options, services.GetService<TimeProvider>(), services.GetService<ILoggerFactory>());
        endpoints.Add(endpoint, options, server);
        return endpoint.Map(routes);
    }
}
