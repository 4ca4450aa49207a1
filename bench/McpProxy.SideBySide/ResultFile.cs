using System.Text.Encodings.Web;
using System.Text.Json;

namespace McpProxy.SideBySide;

/// <summary>Everything that a run found out, as JSON.</summary>
internal static class ResultFile
{
    private static readonly JsonSerializerOptions s_readable = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static async Task WriteAsync(
        string file, IReadOnlyDictionary<string, string> machine, Samples samples, IReadOnlyDictionary<string, double> allocations, IReadOnlyList<string> broken, CancellationToken cancellationToken)
    {
        var figures = samples.Values.ToDictionary(pair => pair.Key, pair =>
        {
            var parts = pair.Key.Split('/');
            var scenario = $"{parts[0]}/{parts[1]}";
            return new { Median = samples.Median(scenario, parts[2], parts[3]), Spread = samples.Spread(scenario, parts[2], parts[3]), Samples = pair.Value };
        });
        var json = JsonSerializer.Serialize(
            new { At = TimeProvider.System.GetUtcNow(), Machine = machine, Figures = figures, samples.Failures, AllocatedBytes = allocations, BrokenBudgets = broken }, s_readable);
        await File.WriteAllTextAsync(file, json + "\n", cancellationToken);
    }

    /// <summary>Reads back what was measured.</summary>
    public static async Task<Samples> ReadAsync(string file, CancellationToken cancellationToken)
    {
        using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(file, cancellationToken));
        var samples = new Samples();
        foreach (var figure in json.RootElement.GetProperty("Figures").EnumerateObject())
        {
            var parts = figure.Name.Split('/');
            foreach (var sample in figure.Value.GetProperty("Samples").EnumerateArray())
            {
                samples.Add($"{parts[0]}/{parts[1]}", parts[2], parts[3], sample.GetDouble());
            }
        }

        foreach (var failure in json.RootElement.GetProperty("Failures").EnumerateObject())
        {
            var at = failure.Name.LastIndexOf('/');
            samples.Fail(failure.Name[..at], failure.Name[(at + 1)..], failure.Value.GetString()!);
        }

        return samples;
    }
}
