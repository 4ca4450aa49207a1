namespace McpProxy.SideBySide;

/// <summary>One row of a table: one figure of one scenario, and what is asked of it.</summary>
/// <param name="Label">What it is.</param>
/// <param name="Side">Which table it stands in.</param>
/// <param name="Scenario">The scenario.</param>
/// <param name="Figure">The figure.</param>
/// <param name="Unit">How it is written.</param>
internal sealed record Row(string Label, Side Side, string Scenario, string Figure, Unit Unit)
{
    /// <summary>A second figure of the same scenario, in brackets after the first.</summary>
    public string? Second { get; init; }

    /// <summary>The bound in the figure's own unit, or null.</summary>
    public double? Bound { get; init; }

    /// <summary>The bound as a multiple of the floor's figure in the same run, or null.</summary>
    public double? FloorBound { get; init; }

    /// <summary>Whether more is better.</summary>
    public bool MoreIsBetter { get; init; }

    public string Key => Scenarios.Key(Side, Scenario);

    /// <summary>Whether a value keeps the bound.</summary>
    public bool Keeps(double value, double? floor)
    {
        var bound = Bound ?? (floor * FloorBound);
        return bound is null || (MoreIsBetter ? value >= bound : value <= bound);
    }
}
