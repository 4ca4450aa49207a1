namespace McpProxy.AspNetCore;

/// <summary>The revisions of the legacy era.</summary>
internal static class ProtocolVersions
{
    /// <summary>The newest of them.</summary>
    public const string NewestLegacy = "2025-11-25";

    public static bool IsLegacy(string version) => version is "2024-11-05" or "2025-03-26" or "2025-06-18" or NewestLegacy;
}
