namespace McpProxy.Cli.Memory;

/// <summary>A range of addresses at which a part of a file is mapped.</summary>
internal readonly record struct MappedRange(nuint Start, nuint Length);
