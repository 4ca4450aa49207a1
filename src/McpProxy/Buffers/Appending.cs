namespace McpProxy.Buffers;

/// <summary>Writes one piece after the other into memory of a length that is known.</summary>
internal static class Appending
{
    /// <summary>Writes bytes at the start of some room.</summary>
    /// <returns>The room behind them.</returns>
    public static Span<byte> Append(this Span<byte> room, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(room);
        return room[bytes.Length..];
    }
}
