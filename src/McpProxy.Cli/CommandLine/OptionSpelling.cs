namespace McpProxy.Cli.CommandLine;

/// <summary>One way to write an option.</summary>
/// <param name="Name">As it is written, with its dashes.</param>
/// <param name="Values">How many words follow it.</param>
internal sealed record OptionSpelling(string Name, int Values)
{
    /// <summary>What it means in our own words, for the values that follow; empty when there is nothing to do.</summary>
    public Func<string[], string[]> Rewrite { get; init; } = values => [];

    /// <summary>Why it is refused; null when it is not.</summary>
    public string? Refusal { get; init; }

    /// <summary>Whether it is one of our own options, which a mistyped one is compared with.</summary>
    public bool IsCanonical { get; init; }

    /// <summary>Whether the first value alone may hold the whole pair (<c>KEY=VALUE</c>), so that the second is not taken.</summary>
    public Func<string, bool>? IsWholePair { get; init; }

    /// <summary>Whether it takes every word up to the next option, as long as a <c>--</c> follows later.</summary>
    public bool IsGreedy { get; init; }

    /// <summary>Whether the value may be left out.</summary>
    public bool ValueIsOptional { get; init; }
}
