using System.Net;
using McpProxy.AspNetCore.Access;
using McpProxy.AspNetCore.Access.Tls;
using McpProxy.AspNetCore.Limits;
using McpProxy.Tests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>An endpoint behind a gate on a real port, put together as the program does it.</summary>
internal sealed class GuardedServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly McpEndpoint _endpoint;
    private readonly InboundAuthentication? _authentication;
    private readonly ServerTls? _tls;

    private GuardedServer(WebApplication app, McpEndpoint endpoint, InboundAuthentication? authentication, ServerTls? tls, LogKeeper log)
    {
        (_app, _endpoint, _authentication, _tls, Log) = (app, endpoint, authentication, tls, log);
        Url = new Uri(app.Urls.First());
        Client = new HttpClient { BaseAddress = Url, Timeout = TimeSpan.FromSeconds(30) };
    }

    public Uri Url { get; }

    public HttpClient Client { get; }

    public LogKeeper Log { get; }

    /// <summary>Who the last request that was let in came from.</summary>
    public string? LastPrincipal { get; private set; }

    public static async Task<GuardedServer> StartAsync(InboundAuthenticationOptions? options, McpEndpointOptions? endpoint = null, TimeProvider? time = null, TlsFiles? tls = null)
    {
        var log = new LogKeeper();
        var served = endpoint ?? new();
        var authentication = options is null ? null : new InboundAuthentication(options, served, time, log);
        var secured = tls is null ? null : new ServerTls(tls, time, log);
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            new ConnectionLimits().ApplyBehindDoorTo(kestrel.Limits);
            kestrel.Listen(IPAddress.Loopback, 0, listen => secured?.Use(listen));
        });
        builder.Services.AddRoutingCore();
        var app = builder.Build();
        GuardedServer? server = null;
        var watch = new Watch(context => server!.LastPrincipal = Principal.Of(context));
        served = served with { Gates = authentication is null ? [watch] : [authentication, watch] };
        var upstream = new FakeUpstream(() => new FakePeer { Answer = message => message.Is("initialize"u8) ? Http.InitializeResult : null });
        var mapped = new McpEndpoint(upstream, served, loggers: log);
        app.Use(next => new FrontDoor(served, new(), time ?? TimeProvider.System, log).Before(next));
        app.UseRouting();
        mapped.Map(app);
        authentication?.MapMetadata(app);
        app.Map("/health", context => context.Response.WriteAsync("ok", context.RequestAborted));
        app.UseEndpoints(_ => { });
        await app.StartAsync();
        server = new(app, mapped, authentication, secured, log);
        return server;
    }

    /// <summary>Opens a session, or is refused.</summary>
    public Task<HttpResponseMessage> KnockAsync(params (string Name, string Value)[] headers) => Client.PostAsync("/mcp", Http.Initialize, headers: headers);

    /// <summary>The same with an access token.</summary>
    public Task<HttpResponseMessage> KnockAsync(string token) => KnockAsync(("Authorization", $"Bearer {token}"));

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _endpoint.DisposeAsync();
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await _app.StopAsync(timeout.Token);
        await _app.DisposeAsync();
        _authentication?.Dispose();
        _tls?.Dispose();
    }

    private sealed class Watch(Action<HttpContext> look) : IRequestGate
    {
        public ValueTask<bool> AdmitAsync(HttpContext context)
        {
            look(context);
            return new(true);
        }
    }
}
