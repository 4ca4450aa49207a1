namespace McpProxy.EndToEnd.Tests;

public enum Era
{
    /// <summary>2025-11-25 and before.</summary>
    Legacy,

    /// <summary>2026-07-28.</summary>
    Modern,

    /// <summary>Whichever the other side likes.</summary>
    Dual,
}
