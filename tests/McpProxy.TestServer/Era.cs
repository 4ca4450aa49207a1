namespace McpProxy.TestServer;

/// <summary>Which revisions of the protocol the server speaks.</summary>
internal enum Era
{
    /// <summary>2025-11-25 and before: <c>initialize</c> and sessions.</summary>
    Legacy,

    /// <summary>2026-07-28: stateless, <c>server/discover</c>.</summary>
    Modern,

    /// <summary>Both, as each client likes.</summary>
    Dual,
}
