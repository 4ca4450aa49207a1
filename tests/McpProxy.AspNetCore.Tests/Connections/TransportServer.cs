using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using McpProxy.AspNetCore.Connections;
using McpProxy.Transports.Polling;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.AspNetCore.Tests.Connections;

/// <summary>The server with our transport, or with its own: what holds for one must hold for the other.</summary>
[SupportedOSPlatform("linux")]
internal sealed class TransportServer : IAsyncDisposable
{
    private readonly EventLoops? _loops;

    private TransportServer(WebApplication app, EventLoops? loops)
    {
        App = app;
        _loops = loops;
        Port = new Uri(app.Urls.First()).Port;
    }

    public WebApplication App { get; }

    public int Port { get; }

    public static async Task<TransportServer> StartAsync(bool onLoops, RequestDelegate handle, Action<ListenOptions>? listen = null, IPAddress? address = null, int port = 0)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Listen(address ?? IPAddress.Loopback, port, options => listen?.Invoke(options));
        });
        var loops = onLoops ? new EventLoops() : null;
        if (loops is not null)
        {
            var options = new LoopTransportOptions { Memory = () => new Blocks(), MaxReadBufferSize = 64 * 1024 };
            builder.Services.Replace(ServiceDescriptor.Singleton<IConnectionListenerFactory>(new LoopTransport(loops, options, TimeProvider.System, NullLogger.Instance)));
        }

        var app = builder.Build();
        app.Run(handle);
        try
        {
            await app.StartAsync();
        }
        catch
        {
            await app.DisposeAsync();
            loops?.Dispose();
            throw;
        }

        return new(app, loops);
    }

    public async Task<Socket> ConnectAsync(int? receiveBuffer = null)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBuffer is { } size)
        {
            socket.ReceiveBufferSize = size;
        }

        await socket.ConnectAsync(IPAddress.Loopback, Port);
        return socket;
    }

    public async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        _loops?.Dispose();
    }
}
