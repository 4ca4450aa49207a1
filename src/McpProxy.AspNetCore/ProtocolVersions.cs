namespace McpProxy.AspNetCore;

/// <summary>The revisions of the legacy era.</summary>
internal static class ProtocolVersions
{
    public static bool IsLegacy(string version) => version is "2024-11-05" or "2025-03-26" or "2025-06-18" or "2025-11-25";
}
