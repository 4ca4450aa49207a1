namespace McpProxy.Telemetry;

/// <summary>Which way messages are translated between the eras.</summary>
internal enum BridgeDirection
{
    /// <summary>A legacy client uses a modern server.</summary>
    LegacyToModern,

    /// <summary>A modern client uses a legacy server.</summary>
    ModernToLegacy,
}
