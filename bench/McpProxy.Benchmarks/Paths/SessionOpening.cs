namespace McpProxy.Benchmarks.Paths;

/// <summary>What a client says before its first call.</summary>
internal static class SessionOpening
{
    public static ReadOnlySpan<byte> Initialize =>
        """{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"""u8;

    public static ReadOnlySpan<byte> Initialized => """{"jsonrpc":"2.0","method":"notifications/initialized"}"""u8;
}
