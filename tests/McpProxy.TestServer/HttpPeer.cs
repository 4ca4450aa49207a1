using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using ModelContextProtocol.AspNetCore;

namespace McpProxy.TestServer;

/// <summary>The server over HTTP: Streamable HTTP at <c>/mcp</c>, and in the legacy era HTTP+SSE at <c>/sse</c>.</summary>
internal static class HttpPeer
{
    /// <summary>Serves until standard input ends, so that nothing is left behind when the test run is killed.</summary>
    public static async Task RunAsync(ServerArguments arguments)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls($"http://127.0.0.1:{arguments.Port}");
        builder.Services.AddRoutingCore().AddHttpContextAccessor();
        var peer = PeerContent.AddTo(builder.Services, arguments.Era).WithHttpTransport(transport =>
        {
            transport.SessionMode = arguments.Era switch
            {
                Era.Legacy => HttpServerSessionMode.Stateful,
                Era.Modern => HttpServerSessionMode.Stateless,
                _ => HttpServerSessionMode.StatefulForInitializeClients,
            };

            // The SDK refuses to serve HTTP+SSE without sessions.
            transport.EnableLegacySse = arguments.Era != Era.Modern;
        });
        if (arguments.Resumable)
        {
            builder.Services.AddDistributedMemoryCache();
            peer.WithDistributedCacheEventStreamStore();
        }

        var app = builder.Build();
        app.UseRouting();
        app.Use(WatchSessionStreamsAsync);
        app.MapMcp("/mcp");
        if (arguments.Era != Era.Modern)
        {
            MapSse(app);
        }

        app.UseEndpoints(_ => { });
        await app.StartAsync();
        Console.WriteLine($"URL {app.Urls.Single()}");
        await Console.In.ReadToEndAsync();
        using var grace = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await app.StopAsync(grace.Token);
    }

    /// <summary>MapMcp puts <c>/sse</c> and <c>/message</c> below its own path; a second one at the root puts them where legacy clients expect them.</summary>
    private static void MapSse(WebApplication app) => app.MapMcp("/");

    /// <summary>
    /// The SDK drops what it has to say on a session's own stream as long as nobody has opened one. It sends the headers of
    /// that stream only when it can write to it, which is what the tool <c>await_stream</c> waits for.
    /// </summary>
    private static Task WatchSessionStreamsAsync(HttpContext context, RequestDelegate next)
    {
        if (HttpMethods.IsGet(context.Request.Method) && context.Request.Headers["Mcp-Session-Id"] is [{ } session])
        {
            context.Response.OnStarting(() =>
            {
                context.RequestServices.GetRequiredService<Rendezvous>().Arrive(Rendezvous.StreamOf(session));
                return Task.CompletedTask;
            });
        }

        return next(context);
    }
}
