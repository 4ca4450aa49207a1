namespace McpProxy.SideBySide;

/// <summary>How a figure is written.</summary>
internal enum Unit
{
    Milliseconds,

    /// <summary>Given in microseconds.</summary>
    Microseconds,

    /// <summary>Given in kilobytes, written in megabytes.</summary>
    Megabytes,

    Kilobytes,

    BytesPerMessage,

    PerSecond,

    Percent,

    Count,
}
