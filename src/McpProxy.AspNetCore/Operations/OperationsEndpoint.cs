using System.Buffers;
using System.Text.Json;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace McpProxy.AspNetCore.Operations;

/// <summary>Health, readiness and metrics.</summary>
internal sealed class OperationsEndpoint : IDisposable
{
    /// <summary>How long the answer to whether the server can be used may take: those who ask give up soon.</summary>
    private static readonly TimeSpan s_readyTimeout = TimeSpan.FromSeconds(5);

    private readonly OperationsOptions _options;
    private readonly RequestGuard? _guard;
    private readonly IReadOnlyList<IRequestGate> _gates;
    private readonly TimeProvider _time;
    private readonly MetricCollector? _metrics;

    /// <param name="options">What is shown, and where.</param>
    /// <param name="endpoint">The hosts and the gates of the server that it is about.</param>
    /// <param name="time">The clock.</param>
    public OperationsEndpoint(OperationsOptions options, McpEndpointOptions endpoint, TimeProvider time)
    {
        _options = options;
        _guard = endpoint.IsBehindFrontDoor ? null : new(endpoint);
        _gates = endpoint.Gates;
        _time = time;
        _metrics = options.MetricsPath is null ? null : new(time);
    }

    public void Map(IEndpointRouteBuilder routes)
    {
        foreach (var path in _options.HealthPaths)
        {
            routes.Map(path, context => GuardedAsync(context, HealthAsync));
        }

        if (_options.ReadyPath is { } ready)
        {
            routes.Map(ready, context => GuardedAsync(context, ReadyAsync));
        }

        if (_options.MetricsPath is { } metrics)
        {
            routes.Map(metrics, context => GuardedAsync(context, MetricsAsync));
        }
    }

    public void Dispose() => _metrics?.Dispose();

    private static Task HealthAsync(HttpContext context) => ReplyAsync(context, 200, "text/plain", "ok\n"u8.ToArray());

    private async Task GuardedAsync(HttpContext context, Func<HttpContext, Task> handle)
    {
        if (_guard?.Refusal(context) is { } refusal)
        {
            await HttpReply.ErrorAsync(context, 403, default, JsonRpcErrorCode.InvalidRequest, $"Forbidden: {refusal}");
        }
        else if (context.Request.Method is not ("GET" or "HEAD"))
        {
            context.Response.Headers.Allow = "GET, HEAD";
            context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        }
        else
        {
            context.Response.Headers.CacheControl = "no-store";
            await handle(context);
        }
    }

    internal async Task ReadyAsync(HttpContext context)
    {
        string? reason;
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        await using var timer = _time.CreateTimer(static state => ((CancellationTokenSource)state!).Cancel(), timeout, s_readyTimeout, Timeout.InfiniteTimeSpan);
        try
        {
            reason = await _options.Readiness(timeout.Token).AsTask().WaitAsync(timeout.Token);
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            reason = $"the server did not say within {s_readyTimeout.TotalSeconds} s whether it can be used";
        }

        var buffer = new ArrayBufferWriter<byte>();
        await using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("status"u8, reason is null ? "ready"u8 : "unavailable"u8);
            if (reason is not null)
            {
                writer.WriteString("reason"u8, reason);
            }

            writer.WriteEndObject();
        }

        buffer.Write("\n"u8);
        await ReplyAsync(context, reason is null ? 200 : 503, "application/json", buffer.WrittenMemory);
    }

    private async Task MetricsAsync(HttpContext context)
    {
        foreach (var gate in _gates)
        {
            if (!await gate.AdmitAsync(context))
            {
                return;
            }
        }

        var text = new PrometheusText();
        text.Write(_metrics!.Metrics);
        ProcessMetrics.Write(text, _metrics.Started);
        await ReplyAsync(context, 200, PrometheusText.ContentType, text.Utf8);
    }

    private static async Task ReplyAsync(HttpContext context, int status, string type, ReadOnlyMemory<byte> body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.ContentLength = body.Length;

        // The server leaves the body out of the answer to HEAD.
        await context.Response.BodyWriter.WriteAsync(body, context.RequestAborted);
    }
}
