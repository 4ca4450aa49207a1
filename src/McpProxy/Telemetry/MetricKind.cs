namespace McpProxy.Telemetry;

/// <summary>How the measurements of an instrument add up.</summary>
internal enum MetricKind
{
    /// <summary>A sum that only grows.</summary>
    Counter,

    /// <summary>A sum that grows and shrinks.</summary>
    UpDownCounter,

    /// <summary>A distribution.</summary>
    Histogram,
}
