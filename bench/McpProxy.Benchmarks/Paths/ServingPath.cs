using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Text;
using McpProxy.AspNetCore;
using McpProxy.AspNetCore.Connections;
using McpProxy.AspNetCore.Connections.Usual;
using McpProxy.Transports.Polling;
using McpProxy.Transports.Stdio;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Benchmarks.Paths;

/// <summary>Streamable HTTP to standard input and output: the server as the program makes it.</summary>
internal sealed class ServingPath(string server) : IMessagePath
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _answer = new byte[64 * 1024];
    private readonly EventLoops? _loops = OperatingSystem.IsLinux() ? new() : null;
    private WebApplication? _app;
    private McpEndpoint? _endpoint;
    private byte[] _call = [];

    public string Name => "Path.Serving";

    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        _endpoint = new(new StdioUpstream(new() { Command = server, Arguments = ["stdio"] }) { Loops = _loops }, new() { IsBehindFrontDoor = true, ContinuesInline = _loops is not null });
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, 0, listen =>
            {
                if (OperatingSystem.IsLinux())
                {
                    listen.Use(new UsualRequests(_endpoint.Paths.ToDictionary(path => path.Path, path => path.Handle), new(), TimeProvider.System, NullLogger.Instance).Before);
                }
            });
        });
        if (OperatingSystem.IsLinux())
        {
            var transport = new LoopTransport(_loops!, new() { Memory = () => MemoryPool<byte>.Shared }, TimeProvider.System, NullLogger.Instance);
            builder.Services.Replace(ServiceDescriptor.Singleton<IConnectionListenerFactory>(transport));
        }

        builder.Services.AddRoutingCore();
        _app = builder.Build();
        _app.UseRouting();
        _endpoint.Map(_app);
        _app.UseEndpoints(_ => { });
        await _app.StartAsync(cancellationToken);
        await _socket.ConnectAsync(IPAddress.Loopback, new Uri(_app.Urls.First()).Port, cancellationToken);
        var count = Exchange(Post(SessionOpening.Initialize, null));
        var head = Encoding.ASCII.GetString(_answer, 0, count).Split("\r\n");
        var session = head.First(line => line.StartsWith("Mcp-Session-Id:", StringComparison.OrdinalIgnoreCase)).Split(':', 2)[1].Trim();
        Exchange(Post(SessionOpening.Initialized, session));
        _call = Post(SampleMessage.Request(200), session);
    }

    public void Call() => Exchange(_call);

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        if (_endpoint is not null && _app is not null)
        {
            await _endpoint.DisposeAsync();
            await _app.DisposeAsync();
        }

        if (OperatingSystem.IsLinux())
        {
            _loops?.Dispose();
        }
    }

    private static byte[] Post(ReadOnlySpan<byte> message, string? session)
    {
        var head = $"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            + (session is null ? "" : $"Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-06-18\r\n")
            + $"Content-Length: {message.Length}\r\n\r\n";
        return [.. Encoding.ASCII.GetBytes(head), .. message];
    }

    /// <summary>Sends a request and reads the response, whose length is given.</summary>
    private int Exchange(byte[] request)
    {
        _socket.Send(request);
        var count = 0;
        while (true)
        {
            var read = _socket.Receive(_answer.AsSpan(count));
            count += read > 0 ? read : throw new IOException("the server closed its side");
            var got = _answer.AsSpan(0, count);
            var end = got.IndexOf("\r\n\r\n"u8);
            if (end < 0)
            {
                continue;
            }

            var length = got[..end].IndexOf("Content-Length: "u8);
            var body = length >= 0 && System.Buffers.Text.Utf8Parser.TryParse(got[(length + 16)..], out int given, out _) ? given : 0;
            if (count >= end + 4 + body)
            {
                return count;
            }
        }
    }
}
