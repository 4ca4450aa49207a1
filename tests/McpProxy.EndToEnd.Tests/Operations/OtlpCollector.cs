using System.Net;
using System.Threading.Channels;
using McpProxy.EndToEnd.Tests.Programs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace McpProxy.EndToEnd.Tests.Operations;

/// <summary>An OpenTelemetry collector that the test looks into.</summary>
internal sealed class OtlpCollector : IAsyncDisposable
{
    private readonly Channel<ProtobufMessage> _traces = Channel.CreateUnbounded<ProtobufMessage>();
    private readonly Channel<ProtobufMessage> _metrics = Channel.CreateUnbounded<ProtobufMessage>();
    private readonly WebApplication _app;
    private int _refusals;

    private OtlpCollector(WebApplication app) => _app = app;

    public string Url => _app.Urls.Single();

    /// <summary>What every request has to carry.</summary>
    public string Token { get; } = "otlp-token hunter2";

    /// <summary>How many requests to refuse for now.</summary>
    public int Refusals
    {
        get => Volatile.Read(ref _refusals);
        set => Volatile.Write(ref _refusals, value);
    }

    public static async Task<OtlpCollector> StartAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        builder.Services.AddRoutingCore();
        var app = builder.Build();
        var collector = new OtlpCollector(app);
        app.Run(collector.HandleAsync);
        await app.StartAsync(TestContext.Current.CancellationToken);
        return collector;
    }

    /// <summary>The environment of a program that sends here.</summary>
    public Dictionary<string, string?> Environment(params (string Name, string Value)[] more)
    {
        var variables = new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["OTEL_EXPORTER_OTLP_ENDPOINT"] = Url,
            ["OTEL_EXPORTER_OTLP_HEADERS"] = $"x-token={Uri.EscapeDataString(Token)}",
            ["OTEL_BSP_SCHEDULE_DELAY"] = "100",
            ["OTEL_METRIC_EXPORT_INTERVAL"] = "100",
            ["OTEL_SERVICE_NAME"] = "the proxy",
        };
        foreach (var (name, value) in more)
        {
            variables[name] = value;
        }

        return variables;
    }

    /// <summary>The next spans, as many as that.</summary>
    public async Task<List<ProtobufMessage>> SpansAsync(int count)
    {
        var spans = new List<ProtobufMessage>();
        while (spans.Count < count)
        {
            var resource = (await _traces.Reader.ReadAsync(TestContext.Current.CancellationToken).Within($"{count} spans, of which {spans.Count} came")).One(1);
            resource.One(1).Attributes(1)["service.name"].ShouldBe("the proxy");
            resource.One(2).One(1).Text(1).ShouldBe("McpProxy");
            spans.AddRange(resource.One(2).All(2));
        }

        return spans;
    }

    /// <summary>The next report of a metric that holds it.</summary>
    public async Task<ProtobufMessage> MetricAsync(string name)
    {
        while (true)
        {
            var request = await _metrics.Reader.ReadAsync(TestContext.Current.CancellationToken).Within($"the metric {name}");
            if (request.One(1).One(2).All(2).FirstOrDefault(metric => metric.Text(1) == name) is { } found)
            {
                return found;
            }
        }
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        var isGood = context.Request.Method == "POST" && context.Request.ContentType == "application/x-protobuf" && context.Request.Headers["x-token"] == Token;
        if (!isGood || Interlocked.Decrement(ref _refusals) >= 0)
        {
            context.Response.StatusCode = isGood ? 503 : 400;
            return;
        }

        var channel = context.Request.Path.Value switch { "/v1/traces" => _traces, "/v1/metrics" => _metrics, _ => null };
        context.Response.StatusCode = channel is null ? 404 : 200;
        channel?.Writer.TryWrite(new(body.ToArray()));
    }
}
