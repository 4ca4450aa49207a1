using System.Text.Json;

namespace McpProxy.SideBySide;

/// <summary>The bounds of what repeats from run to run, whatever else the machine does: memory, growth, allocated bytes, and what must always hold.</summary>
internal static class Budgets
{
    /// <summary>How many bounds are kept, and what does not keep its own, as sentences.</summary>
    /// <param name="file"><c>budgets.json</c>: for each figure of mcp-proxy, by <c>scenario/figure</c>, its <c>most</c> or <c>least</c>; and the most bytes that each micro-benchmark may allocate.</param>
    /// <param name="samples">What was measured. A figure that was not measured on purpose keeps its bound; one whose measurement failed does not.</param>
    /// <param name="allocations">Bytes for each operation of the micro-benchmarks.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    public static async Task<(int Kept, IReadOnlyList<string> Broken)> CheckAsync(string file, Samples samples, IReadOnlyDictionary<string, double> allocations, CancellationToken cancellationToken)
    {
        using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(file, cancellationToken));
        List<string> broken = [.. samples.Failures.Where(failure => failure.Key.EndsWith($"/{Peer.Native}", StringComparison.Ordinal)).Select(failure => $"{failure.Key}: {failure.Value}")];
        var kept = 0;
        foreach (var budget in json.RootElement.GetProperty("figures").EnumerateObject())
        {
            var parts = budget.Name.Split('/');
            if (samples.Median($"{parts[0]}/{parts[1]}", Peer.Native, parts[2]) is { } value)
            {
                Check(budget.Name, value, budget.Value);
            }
        }

        foreach (var budget in json.RootElement.GetProperty("allocatedBytes").EnumerateObject())
        {
            if (allocations.TryGetValue(budget.Name, out var value))
            {
                Check(budget.Name, value, budget.Value);
            }
            else if (allocations.Count > 0)
            {
                broken.Add($"{budget.Name}: there is no such micro-benchmark");
            }
        }

        return (kept, broken);

        void Check(string name, double value, JsonElement bound)
        {
            if (bound.TryGetProperty("most", out var most) && value > most.GetDouble())
            {
                broken.Add($"{name} is {value:0.##}, at most {most.GetDouble():0.##} is allowed");
            }
            else if (bound.TryGetProperty("least", out var least) && value < least.GetDouble())
            {
                broken.Add($"{name} is {value:0.##}, at least {least.GetDouble():0.##} is asked");
            }
            else
            {
                kept++;
            }
        }
    }

    /// <summary>Reads what the micro-benchmarks wrote.</summary>
    public static async Task<IReadOnlyDictionary<string, double>> ReadAllocationsAsync(string? file, CancellationToken cancellationToken) => file is null
        ? new Dictionary<string, double>(StringComparer.Ordinal)
        : JsonSerializer.Deserialize<Dictionary<string, double>>(await File.ReadAllBytesAsync(file, cancellationToken))!;
}
