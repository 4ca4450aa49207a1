namespace McpProxy.Eras.ModernClient;

/// <summary>How severe a log message is (RFC 5424, section 6.2.1), the least severe first.</summary>
internal static class LogSeverity
{
    private static readonly string[] s_levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

    /// <summary>The rank of a level; negative when there is no such level.</summary>
    public static int RankOf(string? level) => Array.IndexOf(s_levels, level);

    /// <summary>The level of a rank.</summary>
    public static string LevelOf(int rank) => s_levels[rank];
}
