namespace McpProxy.Telemetry;

/// <summary>Which peer a message came from or went to.</summary>
internal enum MessageSide
{
    /// <summary>The client.</summary>
    Downstream,

    /// <summary>The server.</summary>
    Upstream,
}
