namespace McpProxy.Eras;

/// <summary>The revisions of the protocol.</summary>
internal static class Revision
{
    /// <summary>The newest one of the legacy era.</summary>
    public const string NewestLegacy = "2025-11-25";

    /// <summary>The first one of the modern era.</summary>
    public const string Modern = "2026-07-28";

    public static bool IsLegacy(string? version) => version is "2024-11-05" or "2025-03-26" or "2025-06-18" or NewestLegacy;

    /// <summary>Whether a server may be spoken to in the modern era's way, by a version that it names. Revisions are dates: later ones have the same shape.</summary>
    public static bool IsModern(string? version) => version is not null && string.CompareOrdinal(version, Modern) >= 0;
}
