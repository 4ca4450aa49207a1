using McpProxy.AspNetCore.Limits;
using McpProxy.AspNetCore.Operations;
using McpProxy.Transports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Tests;

/// <summary>A real HTTP server on a free port: the endpoint under test, or one that the test scripts.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly McpEndpoint? _endpoint;

    private TestServer(WebApplication app, McpEndpoint? endpoint)
    {
        _app = app;
        _endpoint = endpoint;
        Url = new Uri(app.Urls.First());
        Client = new HttpClient { BaseAddress = Url, Timeout = TimeSpan.FromSeconds(30) };
    }

    public Uri Url { get; }

    public HttpClient Client { get; }

    public int SessionCount => _endpoint!.SessionCount;

    public static async Task<TestServer> StartAsync(
        IUpstream upstream, McpEndpointOptions? options = null, TimeProvider? time = null, ConnectionLimits? connections = null, OperationsOptions? operations = null, ILoggerFactory? loggers = null)
    {
        var app = Build(0, connections);
        var endpoint = new McpEndpoint(upstream, options, time, loggers);
        app.UseRouting();
        endpoint.Map(app);
        if (operations is not null)
        {
            app.MapMcpProxyOperations(options, operations);
        }

        app.UseEndpoints(_ => { });
        await app.StartAsync();
        return new(app, endpoint);
    }

    public static async Task<TestServer> ScriptAsync(RequestDelegate script, int port = 0)
    {
        var app = Build(port);
        app.Run(script);
        await app.StartAsync();
        return new(app, null);
    }

    /// <summary>Ends the sessions while the client still reads.</summary>
    public ValueTask DisposeWithoutClientAsync() => _endpoint!.DisposeAsync();

    /// <summary>Lets what is in flight be answered, and refuses what is new.</summary>
    public Task DrainAsync(TimeSpan timeout) => _endpoint!.DrainAsync(timeout);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        if (_endpoint is not null)
        {
            await _endpoint.DisposeAsync();
        }

        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await _app.StopAsync(timeout.Token);
        await _app.DisposeAsync();
    }

    private static WebApplication Build(int port, ConnectionLimits? connections = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            if (connections is not null)
            {
                connections.ApplyTo(kestrel.Limits);
                kestrel.Limits.MaxRequestBodySize = null;
            }

            kestrel.Listen(System.Net.IPAddress.Loopback, port);
        });
        builder.Services.AddRoutingCore();
        return builder.Build();
    }
}
