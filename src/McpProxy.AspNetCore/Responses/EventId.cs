using System.Globalization;
using System.Runtime.InteropServices;

namespace McpProxy.AspNetCore.Responses;

/// <summary>What an event is called, for a client that comes back for what followed it (MCP 2025-11-25, "Resumability and Redelivery").</summary>
/// <param name="Stream">The number of the stream in its session.</param>
/// <param name="Sequence">The event's own number; 0 before the first.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct EventId(int Stream, long Sequence)
{
    /// <summary>The text that <see cref="TryParse"/> reads.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Stream}-{Sequence}");

    /// <summary>Reads an id that was made here.</summary>
    public static bool TryParse(string text, out EventId id)
    {
        id = default;
        var dash = text.IndexOf('-', StringComparison.Ordinal);
        if (dash <= 0
            || !int.TryParse(text.AsSpan(0, dash), NumberStyles.None, CultureInfo.InvariantCulture, out var stream)
            || !long.TryParse(text.AsSpan(dash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var sequence))
        {
            return false;
        }

        id = new(stream, sequence);
        return true;
    }
}
