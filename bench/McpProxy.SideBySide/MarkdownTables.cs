using System.Text;

namespace McpProxy.SideBySide;

/// <summary>Writes the tables that the README shows.</summary>
internal sealed class MarkdownTables(Samples samples, IReadOnlyList<Peer> peers)
{
    public string Write()
    {
        var text = new StringBuilder();
        WriteFigures(text, "stdio → Streamable HTTP", Side.Connecting);
        WriteFigures(text, "Streamable HTTP → stdio", Side.Serving);
        WriteInvariants(text);
        text.AppendLine("Medians over the rounds of one interleaved run. In square brackets: a multiple of the C floor's figure in the same run.");
        text.AppendLine("Noise: half the distance between the quartiles of mcp-proxy's samples. Memory and CPU are the proxy's, without the server's.");
        return text.ToString();
    }

    private static string Text(Unit unit, double value) => unit switch
    {
        Unit.Milliseconds => $"{Short(value)} ms",
        Unit.Microseconds when value >= 1000 => $"{Short(value / 1000)} ms",
        Unit.Microseconds => $"{Short(value)} µs",
        Unit.Megabytes => $"{Short(value / 1024)} MB",
        Unit.Kilobytes => $"{Short(value)} KB",
        Unit.BytesPerMessage => $"{value:0.#} B",
        Unit.PerSecond => $"{value:#,0}/s",
        Unit.Percent => $"{value:0 %}",
        _ => $"{value:0}",
    };

    private static string Short(double value) => value.ToString(value >= 100 ? "0" : value >= 10 ? "0.0" : "0.00");

    private void WriteFigures(StringBuilder text, string title, Side side)
    {
        var others = peers.Where(peer => peer.Id != Peer.Native && (side == Side.Connecting ? peer.Connecting : peer.Serving) is not null).OrderBy(peer => peer.Id is Peer.Floor or Peer.Direct).ToList();
        text.AppendLine($"| {title} | target | mcp-proxy | | noise | {string.Join(" | ", others.Select(peer => peer.Title))} |");
        text.AppendLine($"|---|---|---|---|---|{string.Concat(others.Select(_ => "---|"))}");
        foreach (var row in Rows.Figures.Where(row => row.Side == side))
        {
            var value = samples.Median(row.Key, Peer.Native, row.Figure);
            var floor = samples.Median(row.Key, Peer.Floor, row.Figure);
            var noise = samples.Spread(row.Key, Peer.Native, row.Figure);
            text.AppendLine($"| {row.Label} | {Target(row)} | {Cell(row, Peer.Native)} | {(value is not { } v || row is { Bound: null, FloorBound: null } ? "" : row.Keeps(v, floor) ? "✓" : "missed")} | {(noise is { } n ? $"± {n:0 %}" : "")} | {string.Join(" | ", others.Select(peer => Cell(row, peer.Id)))} |");
        }

        text.AppendLine();
    }

    private void WriteInvariants(StringBuilder text)
    {
        text.AppendLine($"| whatever the speed | target | {string.Join(" | ", peers.Select(peer => peer.Title))} |");
        text.AppendLine($"|---|---|{string.Concat(peers.Select(_ => "---|"))}");
        foreach (var row in Rows.Invariants)
        {
            text.AppendLine($"| {row.Label} | {Target(row)} | {string.Join(" | ", peers.Select(peer => Cell(row, peer.Id)))} |");
        }

        text.AppendLine();
    }

    private static string Target(Row row)
    {
        var sign = row.MoreIsBetter ? "≥" : "≤";
        return row.Bound is { } bound ? $"{sign} {Text(row.Unit, bound)}"
            : row.FloorBound is not { } multiple ? ""
            : row.Unit == Unit.PerSecond ? $"{sign} {multiple:0 %} of the floor"
            : $"{sign} {multiple:0.#}×";
    }

    private string Cell(Row row, string peer)
    {
        if (samples.Median(row.Key, peer, row.Figure) is not { } value)
        {
            return samples.Failure(row.Key, peer) is null ? "" : "fails";
        }

        // The server itself has no proxy's memory and processor time.
        if (peer == Peer.Direct && (row.Unit is Unit.Megabytes or Unit.Kilobytes || row.Figure.StartsWith("cpu", StringComparison.Ordinal)))
        {
            return "";
        }

        var cell = Text(row.Unit, value);
        if (row.Second is { } second && samples.Median(row.Key, peer, second) is { } other)
        {
            cell += $" ({Text(row.Unit, other)})";
        }

        if (row.FloorBound is not null && peer is not (Peer.Floor or Peer.Direct) && samples.Median(row.Key, Peer.Floor, row.Figure) is > 0 and var floor)
        {
            var ratio = value / floor;
            cell += row.Unit == Unit.PerSecond
                ? $" [{ratio:0 %}]"
                : $" [{(ratio >= 10 ? $"{ratio:0}" : $"{ratio:0.0}")}×]";
        }

        return cell;
    }
}
