namespace McpProxy.SideBySide;

/// <summary>A program that runs another and looks at it.</summary>
/// <param name="Command">Its command; that of the other follows.</param>
/// <param name="Environment">Variables that the other needs for it, as <c>NAME=VALUE</c>.</param>
/// <param name="Load">Options of the load generator.</param>
internal sealed record ProgramWrapper(IReadOnlyList<string> Command, IReadOnlyList<string> Environment, IReadOnlyList<string> Load);
