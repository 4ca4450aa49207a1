using System.Net;
using McpProxy.AspNetCore;
using McpProxy.AspNetCore.Access;
using McpProxy.AspNetCore.Access.Tls;
using McpProxy.AspNetCore.Connections;
using McpProxy.AspNetCore.Connections.Usual;
using McpProxy.AspNetCore.Limits;
using McpProxy.AspNetCore.Operations;
using McpProxy.Cli.CommandLine;
using McpProxy.Cli.Memory;
using McpProxy.Transports;
using McpProxy.Transports.Polling;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli;

/// <summary>Serves clients over HTTP.</summary>
internal sealed partial class HttpHost : IAsyncDisposable
{
    private const int RequestBuffer = 64 * 1024;

    private readonly WebApplication _app;
    private readonly McpEndpoint _endpoint;
    private readonly OperationsEndpoint _operations;
    private readonly InboundAuthentication? _authentication;
    private readonly ServerTls? _tls;

    private HttpHost(WebApplication app, McpEndpoint endpoint, OperationsEndpoint operations, InboundAuthentication? authentication, ServerTls? tls)
    {
        _app = app;
        _endpoint = endpoint;
        _operations = operations;
        _authentication = authentication;
        _tls = tls;
    }

    /// <summary>The addresses that are served, such as <c>http://127.0.0.1:8080</c>.</summary>
    public IReadOnlyCollection<string> Addresses => [.. _app.Urls];

    /// <summary>Starts to serve.</summary>
    /// <exception cref="IOException">The port is in use, or the address is none of this machine.</exception>
    /// <exception cref="UsageException">A certificate cannot be used, or an issuer not be asked.</exception>
    public static async Task<HttpHost> StartAsync(IUpstream upstream, ProxySettings settings, ConnectionMemory memory, EventLoops? loops, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var addresses = await ResolveAsync(settings.Host, cancellationToken);
        var (authentication, tls) = Access(settings, loggers);
        var builder = WebApplication.CreateEmptyBuilder(new());

        // The server is configured before there is somebody to answer, and asks for this when it begins to listen.
        Func<ConnectionDelegate, ConnectionDelegate>? usualRequests = null;
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => Configure(kestrel, settings, addresses, tls, next => usualRequests?.Invoke(next) ?? next));
        builder.Services.Configure<SocketTransportOptions>(sockets => Configure(sockets, settings.Connections));
        if (OperatingSystem.IsLinux() && loops is not null)
        {
            var transport = new LoopTransportOptions { Memory = memory.Create, MaxReadBufferSize = MaxReadBuffer(settings.Connections) };
            builder.Services.Replace(ServiceDescriptor.Singleton<IConnectionListenerFactory>(new LoopTransport(loops, transport, TimeProvider.System, loggers.CreateLogger("http"))));
        }

#if NET10_0_OR_GREATER
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>>(memory);
#endif
        if (tls is not null)
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
        }

        builder.Services.AddRoutingCore();
        builder.Services.AddKnownServices();
        var app = builder.Build();
        var options = settings.Endpoint with { Gates = authentication is null ? settings.Endpoint.Gates : [.. settings.Endpoint.Gates, authentication], Bridge = settings.Bridge, IsBehindFrontDoor = true, ContinuesInline = loops is not null };
        var endpoint = new McpEndpoint(upstream, options, TimeProvider.System, loggers);
        var operations = new OperationsEndpoint(settings.Operations with { Readiness = endpoint.UnreadinessAsync }, options, TimeProvider.System);
        var host = new HttpHost(app, endpoint, operations, authentication, tls);
        try
        {
            var accessLog = new AccessLog(loggers.CreateLogger("access"), TimeProvider.System);
            var door = new FrontDoor(options, settings.Connections, TimeProvider.System, loggers.CreateLogger("http"));
            RequestDelegate Entered(RequestDelegate next)
            {
                var inside = door.Before(next);
                return context => accessLog.InvokeAsync(context, inside);
            }

            var paths = endpoint.Paths.ToDictionary(path => path.Path, path => path.Handle, StringComparer.Ordinal);
            if (OperatingSystem.IsLinux() && loops is not null)
            {
                var targets = paths.ToDictionary(path => path.Key, path => Entered(path.Value), StringComparer.Ordinal);
                usualRequests = new UsualRequests(targets, settings.Connections, TimeProvider.System, loggers.CreateLogger("http")).Before;
            }

            app.Use(Entered);

            // As good as every request is for one of these; other spellings of them are routed.
            app.Use(next => context => (paths.TryGetValue(context.Request.Path.Value ?? "", out var handle) ? handle : next)(context));
            app.UseRouting();
            endpoint.Map(app);
            operations.Map(app);
            authentication?.MapMetadata(app);
            app.UseEndpoints(_ => { });
            await app.StartAsync(cancellationToken);
            return host;
        }
        catch (Exception e)
        {
            await host.DisposeAsync();
            throw e is IOException ? e : new IOException($"cannot serve on {settings.Host}:{settings.Port}: {e.Message}", e);
        }
    }

    /// <summary>Serves until told to stop; then requests in flight are answered before anything ends.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(IUpstream upstream, ProxySettings settings, ConnectionMemory memory, EventLoops? loops, ILoggerFactory loggers, StopSignals signals)
    {
        var logger = loggers.CreateLogger("http");
        HttpHost host;
        try
        {
            host = await StartAsync(upstream, settings, memory, loops, loggers, signals.Stop);
        }
        catch (IOException e)
        {
            LogStartFailed(logger, e.Message);
            return ExitCode.Failure;
        }

        await using (host)
        {
            host.LogAddresses(settings, logger);
            var stop = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
            if (settings.ExitsWithChild)
            {
                host._endpoint.ServerDied += end =>
                {
                    LogExitsWithChild(logger, end.Detail);
                    stop.TrySetResult(end.ExitCode is { } code and not 0 ? code : ExitCode.Failure);
                };
            }

            await using (signals.Stop.Register(() => stop.TrySetResult(ExitCode.Success)))
            {
                var exitCode = await stop.Task;
                await host._endpoint.DrainAsync(settings.Relay.DrainTimeout, signals.StopNow);
                return exitCode;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        // Sessions first: their streams are what the server would wait for.
        await _endpoint.DisposeAsync();
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _app.StopAsync(timeout.Token);
        await _app.DisposeAsync();
        _operations.Dispose();
        _authentication?.Dispose();
        _tls?.Dispose();
    }

    private static (InboundAuthentication? Authentication, ServerTls? Tls) Access(ProxySettings settings, ILoggerFactory loggers)
    {
        try
        {
            var authentication = settings.Access.Authentication is { } options ? new InboundAuthentication(options, settings.Endpoint, TimeProvider.System, loggers) : null;
            return (authentication, settings.Access.Tls is { } files ? new(files, TimeProvider.System, loggers) : null);
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message.Split(" (Parameter", 2)[0]);
        }
    }

    private static void Configure(KestrelServerOptions kestrel, ProxySettings settings, IPAddress[] addresses, ServerTls? tls, Func<ConnectionDelegate, ConnectionDelegate> usualRequests)
    {
        kestrel.AddServerHeader = false;

        // The endpoint bounds bodies itself. Kestrel's own bound would break the connection off before the client has read the 413.
        kestrel.Limits.MaxRequestBodySize = null;
        settings.Connections.ApplyBehindDoorTo(kestrel.Limits);
        foreach (var address in addresses)
        {
            kestrel.Listen(address, settings.Port ?? 0, listen =>
            {
                if (tls is not null)
                {
                    tls.Use(listen);
                }
                else
                {
                    listen.Use(usualRequests);
                }
            });
        }
    }

    /// <summary>What a body's reader has not taken yet stays with who sends it; a header has to fit as a whole.</summary>
    private static void Configure(SocketTransportOptions sockets, ConnectionLimits limits) => sockets.MaxReadBufferSize = MaxReadBuffer(limits);

    private static int MaxReadBuffer(ConnectionLimits limits) => Math.Max(RequestBuffer, limits.MostHeaderSize);

    private static async Task<IPAddress[]> ResolveAsync(string host, CancellationToken cancellationToken)
    {
        if (string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase))
        {
            return [IPAddress.Loopback];
        }

        if (host is "*" or "+")
        {
            return [System.Net.Sockets.Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any];
        }

        if (IPAddress.TryParse(host.Trim('[', ']'), out var address))
        {
            return [address];
        }

        try
        {
            return await Dns.GetHostAddressesAsync(host, cancellationToken);
        }
        catch (System.Net.Sockets.SocketException e)
        {
            throw new IOException($"--host {host}: {e.Message}", e);
        }
    }

    private void LogAddresses(ProxySettings settings, ILogger logger)
    {
        foreach (var address in Addresses)
        {
            LogListening(logger, "streamable-http", address + settings.Endpoint.StreamableHttpPath);
            if (settings.Endpoint.SessionMode != SessionMode.Stateless)
            {
                LogListening(logger, "sse", address + settings.Endpoint.SsePath);
            }
        }

        if (settings.Access.Authentication is null && !AccessOptions.IsLoopback(settings.Host))
        {
            LogOpen(logger, settings.Host);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Listening ({Transport}): {Url}")]
    private static partial void LogListening(ILogger logger, string transport, string url);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Everyone who reaches {Host} can use the server: clients are not authenticated")]
    private static partial void LogOpen(ILogger logger, string host);

    [LoggerMessage(Level = LogLevel.Error, Message = "Ending, since a server has ended (--exit-with-child): {Detail}")]
    private static partial void LogExitsWithChild(ILogger logger, string detail);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Reason}")]
    private static partial void LogStartFailed(ILogger logger, string reason);
}
