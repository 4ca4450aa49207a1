namespace McpProxy.SideBySide;

/// <summary>One thing that is measured.</summary>
/// <param name="Name">Its name in results and filters.</param>
/// <param name="Side">Which way the program is used.</param>
/// <param name="Load">The load generator's scenario, and its options.</param>
/// <param name="Rounds">How often it is measured.</param>
/// <param name="ShortRounds">The same in the short form; 0: not at all.</param>
internal sealed record Scenario(string Name, Side Side, IReadOnlyList<string> Load, int Rounds, int ShortRounds)
{
    /// <summary>Options of the load generator in the short form, in place of others.</summary>
    public IReadOnlyList<string> ShortLoad { get; init; } = [];

    /// <summary>Who is measured; null: everyone who has the side.</summary>
    public IReadOnlyList<string>? Peers { get; init; }

    /// <summary>Whether the server is reached over TLS.</summary>
    public bool IsSecure { get; init; }

    /// <summary>Whether it is about many sessions, which may share a child.</summary>
    public bool HasManySessions { get; init; }

    /// <summary>Whether instructions are counted, and no time is taken.</summary>
    public bool CountsInstructions { get; init; }

    /// <summary>How long one measurement may take, in seconds.</summary>
    public int Timeout { get; init; } = 60;
}
