namespace McpProxy.Auth;

/// <summary>Times as others write them, which need not be any.</summary>
internal static class UnixTime
{
    private const long MaxSeconds = 253_402_300_799;

    /// <summary>The time; null when there is none, or none that a calendar has.</summary>
    public static DateTimeOffset? FromSeconds(long? seconds) => seconds is >= 0 and <= MaxSeconds ? DateTimeOffset.FromUnixTimeSeconds(seconds.Value) : null;

    /// <summary>The same of milliseconds.</summary>
    public static DateTimeOffset? FromMilliseconds(long? milliseconds) => milliseconds is >= 0 and <= MaxSeconds * 1000 ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds.Value) : null;
}
