using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Programs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>A server that answers just enough of Streamable HTTP to see every kind of request that a session makes.</summary>
internal sealed class RecordingListener : IAsyncDisposable
{
    private readonly ConcurrentQueue<(string Method, IReadOnlyDictionary<string, string> Headers)> _requests = new();
    private readonly OutputLog _methods = new();
    private readonly WebApplication _app;

    private RecordingListener(WebApplication app) => _app = app;

    public string Url => $"{_app.Urls.Single()}/mcp";

    /// <summary>The HTTP methods that were used.</summary>
    public IEnumerable<string> Methods => _requests.Select(request => request.Method).Distinct(StringComparer.Ordinal);

    /// <param name="tls">Serves https with it; null for plain http.</param>
    public static async Task<RecordingListener> StartAsync(SslServerAuthenticationOptions? tls = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            if (tls is not null)
            {
                listen.UseHttps((_, _, _, _) => new(tls), state: null!);
            }
        }));
        builder.Services.AddRoutingCore();
        var app = builder.Build();
        var listener = new RecordingListener(app);
        app.Run(listener.HandleAsync);
        await app.StartAsync(TestContext.Current.CancellationToken);
        return listener;
    }

    /// <summary>What each request had in a header; empty where it had none.</summary>
    public IEnumerable<string> Values(string header) => _requests.Select(request => request.Headers.GetValueOrDefault(header, ""));

    /// <summary>Waits for a request of this method.</summary>
    public Task<string> ArrivedAsync(string method) => _methods.FirstAsync($"a {method} request", line => line == method);

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        var method = context.Request.Method;
        _requests.Enqueue((method, context.Request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString(), StringComparer.OrdinalIgnoreCase)));
        _methods.Add(method);
        if (method != "POST")
        {
            context.Response.StatusCode = method == "GET" ? StatusCodes.Status405MethodNotAllowed : StatusCodes.Status200OK;
            return;
        }

        var message = (await JsonNode.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted))!;
        if (message["id"] is not { } id)
        {
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            return;
        }

        context.Response.Headers["Mcp-Session-Id"] = "a-session";
        context.Response.ContentType = "application/json";
        JsonObject result = message["method"]!.GetValue<string>() == "initialize"
            ? new() { ["protocolVersion"] = "2025-11-25", ["capabilities"] = new JsonObject(), ["serverInfo"] = new JsonObject { ["name"] = "recorder", ["version"] = "1" } }
            : new() { ["tools"] = new JsonArray() };
        await context.Response.WriteAsync(
            new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id.DeepClone(), ["result"] = result }.ToJsonString(), context.RequestAborted);
    }
}
