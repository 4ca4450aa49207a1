using System.Globalization;

namespace McpProxy.SideBySide;

/// <summary>
/// Counts the instructions that a program takes for a message, with valgrind: those of a longer run without those of a shorter one. Unlike
/// time they are nearly the same in each run, whatever else the machine does. What the system does for the program is not counted.
/// </summary>
internal sealed class InstructionCounter(LoadProgram load, HarnessOptions options)
{
    private const int Few = 500;
    private const int Many = 3500;

    // The heap's usual reservation of address space is more than valgrind has.
    private static readonly string[] s_environment = ["DOTNET_GCHeapHardLimit=0x8000000"];

    /// <summary>Whether valgrind is there.</summary>
    public static bool IsAvailable => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, "valgrind")));

    /// <summary>Counts.</summary>
    /// <returns>The figures, or why there are none.</returns>
    public async Task<(IReadOnlyDictionary<string, double> Figures, string? Failure)> MeasureAsync(Scenario scenario, Peer peer, CancellationToken cancellationToken)
    {
        var (few, failure) = await CountAsync(scenario, peer, Few, cancellationToken);
        (var many, failure) = failure is null ? await CountAsync(scenario, peer, Many, cancellationToken) : (0, failure);
        var perMessage = (many - few) / (Many - Few);
        return failure is null
            ? (new Dictionary<string, double>(StringComparer.Ordinal) { ["per_message"] = perMessage, ["start"] = few - (perMessage * Few) }, null)
            : (new Dictionary<string, double>(StringComparer.Ordinal), failure);
    }

    private async Task<(double Instructions, string? Failure)> CountAsync(Scenario scenario, Peer peer, int messages, CancellationToken cancellationToken)
    {
        var log = Path.Combine(options.Root, "artifacts", "bench", "instructions.log");
        File.Delete(log);
        var valgrind = new ProgramWrapper(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", $"--log-file={log}"],
            s_environment,
            ["--count", messages.ToString(CultureInfo.InvariantCulture)]);
        var (_, failure) = await load.MeasureAsync(scenario, peer, valgrind, cancellationToken);
        if (failure is not null)
        {
            return (0, failure);
        }

        const string Collected = "Collected :";
        var line = (await File.ReadAllLinesAsync(log, cancellationToken)).FirstOrDefault(line => line.Contains(Collected, StringComparison.Ordinal));
        return line is null
            ? (0, "valgrind did not say how many instructions there were")
            : (double.Parse(line[(line.IndexOf(Collected, StringComparison.Ordinal) + Collected.Length)..], CultureInfo.InvariantCulture), null);
    }
}
