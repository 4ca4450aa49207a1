namespace McpProxy.SideBySide;

/// <summary>What was measured: for each scenario, peer and figure the samples of all rounds, and what failed.</summary>
internal sealed class Samples
{
    private readonly SortedDictionary<string, List<double>> _values = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, string> _failures = new(StringComparer.Ordinal);

    /// <summary>All samples, by <c>scenario/peer/figure</c>.</summary>
    public IReadOnlyDictionary<string, List<double>> Values => _values;

    /// <summary>Why a measurement failed, by <c>scenario/peer</c>.</summary>
    public IReadOnlyDictionary<string, string> Failures => _failures;

    public void Add(string scenario, string peer, string figure, double value)
    {
        var key = $"{scenario}/{peer}/{figure}";
        if (!_values.TryGetValue(key, out var samples))
        {
            _values[key] = samples = [];
        }

        samples.Add(value);
    }

    public void Fail(string scenario, string peer, string reason) => _failures[$"{scenario}/{peer}"] = reason;

    /// <summary>The middle of the samples of one figure; null when there are none.</summary>
    public double? Median(string scenario, string peer, string figure)
    {
        if (!_values.TryGetValue($"{scenario}/{peer}/{figure}", out var samples))
        {
            return null;
        }

        var sorted = samples.Order().ToArray();
        var middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /// <summary>How far the samples of one figure spread: half the distance of the outer quartiles, as a part of the median; null with fewer than three.</summary>
    public double? Spread(string scenario, string peer, string figure)
    {
        if (!_values.TryGetValue($"{scenario}/{peer}/{figure}", out var samples) || samples.Count < 3 || Median(scenario, peer, figure) is not (> 0 and var median))
        {
            return null;
        }

        var sorted = samples.Order().ToArray();
        return (Quantile(sorted, 0.75) - Quantile(sorted, 0.25)) / 2 / median;
    }

    public string? Failure(string scenario, string peer) => _failures.GetValueOrDefault($"{scenario}/{peer}");

    private static double Quantile(double[] sorted, double part)
    {
        var at = part * (sorted.Length - 1);
        var below = (int)at;
        return below + 1 == sorted.Length ? sorted[below] : sorted[below] + ((at - below) * (sorted[below + 1] - sorted[below]));
    }
}
