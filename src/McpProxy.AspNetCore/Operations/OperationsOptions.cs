namespace McpProxy.AspNetCore.Operations;

/// <summary>What a server shows to those who run it.</summary>
public sealed record OperationsOptions
{
    /// <summary>Paths that answer 200 as long as the process lives. Default: <c>/healthz</c>. They need no credentials, but a <c>Host</c> that is accepted.</summary>
    public IReadOnlyList<string> HealthPaths { get; init; } = ["/healthz"];

    /// <summary>Path that answers 200 while the server can be used, 503 while it cannot. Default: <c>/readyz</c>. Null: not offered.</summary>
    public string? ReadyPath { get; init; } = "/readyz";

    /// <summary>Path of the metrics in Prometheus' text format. Default: <c>/metrics</c>. Null: not offered, and nothing is measured for it. Needs the credentials that clients need.</summary>
    public string? MetricsPath { get; init; } = "/metrics";

    /// <summary>Why the server cannot be used now; null when it can. Default: it always can.</summary>
    public Func<CancellationToken, ValueTask<string?>> Readiness { get; init; } = _ => ValueTask.FromResult<string?>(null);
}
