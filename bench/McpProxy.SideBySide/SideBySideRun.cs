using System.Diagnostics;

namespace McpProxy.SideBySide;

/// <summary>
/// Measures everything, interleaved: in each round every scenario is measured once with every peer, one after the other, so that
/// what else the machine does hits all of them alike.
/// </summary>
internal sealed class SideBySideRun(HarnessOptions options, IReadOnlyList<Peer> peers)
{
    private readonly LoadProgram _load = new(options);
    private readonly InstructionCounter _instructions = new(new(options), options);

    public async Task<Samples> RunAsync(CancellationToken cancellationToken)
    {
        var scenarios = Scenarios.All.Where(scenario => RoundsOf(scenario) > 0 && IsWanted(scenario)).ToList();
        if (!InstructionCounter.IsAvailable && scenarios.RemoveAll(scenario => scenario.CountsInstructions) > 0)
        {
            await Console.Error.WriteLineAsync("bench: without valgrind the instructions are not counted");
        }

        var samples = new Samples();
        await WarmUpAsync(scenarios, cancellationToken);
        var clock = Stopwatch.StartNew();
        var rounds = scenarios.Count == 0 ? 0 : scenarios.Max(RoundsOf);
        for (var round = 0; round < rounds; round++)
        {
            foreach (var scenario in scenarios.Where(scenario => round < RoundsOf(scenario)))
            {
                // Each round begins with another peer: no one always comes after the same.
                var taking = Taking(scenario).ToList();
                for (var i = 0; i < taking.Count; i++)
                {
                    await MeasureAsync(scenario, taking[(i + round) % taking.Count], samples, cancellationToken);
                }
            }

            await Console.Error.WriteLineAsync($"bench: round {round + 1} of {rounds}, {clock.Elapsed.TotalSeconds:0} s");
        }

        return samples;
    }

    private async Task MeasureAsync(Scenario scenario, Peer peer, Samples samples, CancellationToken cancellationToken)
    {
        var key = Scenarios.Key(scenario.Side, scenario.Name);
        if (samples.Failure(key, peer.Id) is not null)
        {
            return;
        }

        var (figures, failure) = await (scenario.CountsInstructions
            ? _instructions.MeasureAsync(scenario, peer, cancellationToken)
            : _load.MeasureAsync(scenario, peer, wrapper: null, cancellationToken));
        foreach (var (name, value) in figures)
        {
            samples.Add(key, peer.Id, name, value);
        }

        if (failure is not null)
        {
            samples.Fail(key, peer.Id, failure);
            await Console.Error.WriteLineAsync($"bench: {key}, {peer.Title}: {failure}");
        }
    }

    /// <summary>Starts each program once, so that the first measurement does not read it from the disk.</summary>
    private async Task WarmUpAsync(IReadOnlyList<Scenario> scenarios, CancellationToken cancellationToken)
    {
        foreach (var scenario in Scenarios.All.Where(scenario => scenario.Name.EndsWith("start", StringComparison.Ordinal) && scenarios.Any(wanted => wanted.Side == scenario.Side)))
        {
            foreach (var peer in Taking(scenario))
            {
                await _load.MeasureAsync(scenario, peer, wrapper: null, cancellationToken);
            }
        }
    }

    private IEnumerable<Peer> Taking(Scenario scenario) =>
        peers.Where(peer => peer.CommandFor(scenario) is not null && scenario.Peers?.Contains(peer.Id, StringComparer.Ordinal) != false);

    private int RoundsOf(Scenario scenario) => Math.Min(options.Rounds ?? int.MaxValue, options.Short ? scenario.ShortRounds : scenario.Rounds);

    private bool IsWanted(Scenario scenario) =>
        options.Only.Count == 0 || options.Only.Any(name => Scenarios.Key(scenario.Side, scenario.Name).StartsWith(name, StringComparison.Ordinal) || scenario.Name.StartsWith(name, StringComparison.Ordinal));
}
