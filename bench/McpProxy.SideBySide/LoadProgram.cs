using System.Diagnostics;
using System.Text.Json;

namespace McpProxy.SideBySide;

/// <summary>Runs the load generator: one scenario against one peer.</summary>
internal sealed class LoadProgram(HarnessOptions options)
{
    /// <summary>Measures once.</summary>
    /// <param name="scenario">What.</param>
    /// <param name="peer">Whom.</param>
    /// <param name="wrapper">What runs the peer's program in place of the system, or null.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>The figures, or why there are none.</returns>
    public async Task<(IReadOnlyDictionary<string, double> Figures, string? Failure)> MeasureAsync(Scenario scenario, Peer peer, ProgramWrapper? wrapper, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(options.Program("load")) { RedirectStandardOutput = true, UseShellExecute = false };
        var arguments = start.ArgumentList;
        foreach (var word in scenario.Load)
        {
            arguments.Add(word);
        }

        foreach (var word in options.Short ? scenario.ShortLoad : [])
        {
            arguments.Add(word);
        }

        foreach (var word in wrapper?.Load ?? [])
        {
            arguments.Add(word);
        }

        Add("--down", peer.TalksHttp(scenario.Side) ? "http" : "stdio");
        Add("--server", options.Program("echo"));
        Add("--certificate", options.Certificate);
        Add("--key", options.Key);
        Add("--timeout", $"{scenario.Timeout}");
        foreach (var variable in (string[])[.. peer.Environment, .. wrapper?.Environment ?? []])
        {
            Add("--env", variable);
        }

        // Nobody's sign-ins and settings play a part.
        var home = Path.Combine(options.Root, "artifacts", "bench", "home");
        Directory.CreateDirectory(home);
        start.Environment["HOME"] = home;
        if (peer.CommandFor(scenario) is { Count: > 0 } command)
        {
            arguments.Add("--");
            foreach (var word in (string[])[.. wrapper?.Command ?? [], .. command])
            {
                arguments.Add(word);
            }
        }

        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return Read(output);

        void Add(string name, string value)
        {
            arguments.Add(name);
            arguments.Add(value);
        }
    }

    private static (IReadOnlyDictionary<string, double> Figures, string? Failure) Read(string output)
    {
        var figures = new Dictionary<string, double>(StringComparer.Ordinal);
        if (string.IsNullOrWhiteSpace(output))
        {
            return (figures, "the load generator said nothing");
        }

        using var json = JsonDocument.Parse(output);
        foreach (var member in json.RootElement.EnumerateObject())
        {
            if (member.NameEquals("error"))
            {
                return (figures, member.Value.GetString());
            }

            figures[member.Name] = member.Value.GetDouble();
        }

        return (figures, null);
    }
}
