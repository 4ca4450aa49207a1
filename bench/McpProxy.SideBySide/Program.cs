namespace McpProxy.SideBySide;

internal static class Program
{
    /// <param name="args">The repository, and the words of <c>bench/run</c>.</param>
    public static async Task<int> Main(string[] args)
    {
        HarnessOptions options;
        try
        {
            options = HarnessOptions.Parse(args[0], args[1..]);
        }
        catch (FormatException e)
        {
            await Console.Error.WriteLineAsync($"bench: {e.Message}; see bench/README.md");
            return 2;
        }

        using var stop = new CancellationTokenSource();
        Console.CancelKeyPress += (_, e) =>
        {
            e.Cancel = true;
            stop.Cancel();
        };
        return await RunAsync(options, stop.Token);
    }

    private static async Task<int> RunAsync(HarnessOptions options, CancellationToken cancellationToken)
    {
        var help = await Machine.OutputAsync(options.Proxy, ["--help"], cancellationToken);
        if (help.Length == 0)
        {
            await Console.Error.WriteLineAsync($"bench: {options.Proxy} cannot be run; build it with ./publish.sh or name another with --proxy");
            return 2;
        }

        var machine = await Machine.DescribeAsync(options, cancellationToken);
        var peers = Peers.All(options, hasSharedChild: help.Contains("--child ", StringComparison.Ordinal))
            .Where(peer => options.PeerIds.Count > 0 ? options.PeerIds.Contains(peer.Id) : !options.Short || peer.Id is Peer.Native or Peer.Floor or Peer.Direct)
            .ToList();
        var samples = options.From is { } file ? await ResultFile.ReadAsync(file, cancellationToken) : await new SideBySideRun(options, peers).RunAsync(cancellationToken);
        var allocations = await Budgets.ReadAllocationsAsync(options.Allocations, cancellationToken);
        var (kept, broken) = await Budgets.CheckAsync(Path.Combine(options.Root, "bench", "budgets.json"), samples, allocations, cancellationToken);
        var tables = new MarkdownTables(samples, peers).Write();
        Directory.CreateDirectory(options.Output);
        if (options.From is null)
        {
            await ResultFile.WriteAsync(Path.Combine(options.Output, "results.json"), machine, samples, allocations, broken, cancellationToken);
        }

        await File.WriteAllTextAsync(Path.Combine(options.Output, "results.md"), tables, cancellationToken);
        await Console.Out.WriteLineAsync(tables);
        foreach (var sentence in broken)
        {
            await Console.Out.WriteLineAsync($"budget: {sentence}");
        }

        if (options.Short)
        {
            await Console.Out.WriteLineAsync($"{kept} passed, {broken.Count} failed: bounds of memory and allocation (bench/budgets.json)");
        }

        return options.Short && broken.Count > 0 ? 1 : 0;
    }
}
