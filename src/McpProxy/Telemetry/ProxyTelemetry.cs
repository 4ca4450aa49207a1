namespace McpProxy.Telemetry;

/// <summary>The names under which an application finds what the proxy measures and traces.</summary>
public static class ProxyTelemetry
{
    /// <summary>The name of the <see cref="System.Diagnostics.Metrics.Meter"/>.</summary>
    public const string MeterName = "McpProxy";

    /// <summary>The name of the <see cref="System.Diagnostics.ActivitySource"/>.</summary>
    public const string ActivitySourceName = "McpProxy";
}
