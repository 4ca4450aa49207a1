namespace McpProxy.Eras;

/// <summary>Which era of the protocol one side speaks.</summary>
public enum EraChoice
{
    /// <summary>Found out by what the side says.</summary>
    Auto,

    /// <summary>2024-11-05 to 2025-11-25: <c>initialize</c>, then a session.</summary>
    Legacy,

    /// <summary>2026-07-28 and later: every request for itself.</summary>
    Modern,
}
