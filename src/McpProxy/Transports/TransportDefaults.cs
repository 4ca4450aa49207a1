namespace McpProxy.Transports;

/// <summary>Limits that hold where nothing else is said.</summary>
public static class TransportDefaults
{
    /// <summary>The longest message accepted, in bytes: 64 MiB.</summary>
    public const int MaxMessageSize = 64 * 1024 * 1024;
}
