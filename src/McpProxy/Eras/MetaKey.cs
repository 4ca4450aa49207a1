namespace McpProxy.Eras;

/// <summary>The members of <c>_meta</c> that the modern era has in place of a session (MCP 2026-07-28, "Per-request protocol fields").</summary>
internal static class MetaKey
{
    public const string Prefix = "io.modelcontextprotocol/";
    public const string ProtocolVersion = Prefix + "protocolVersion";
    public const string ClientInfo = Prefix + "clientInfo";
    public const string ClientCapabilities = Prefix + "clientCapabilities";
    public const string LogLevel = Prefix + "logLevel";
    public const string SubscriptionId = Prefix + "subscriptionId";
    public const string ServerInfo = Prefix + "serverInfo";
}
