using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.CommandLine;

/// <summary>What is logged, and how it looks.</summary>
/// <param name="Level">The least severe level that is logged.</param>
/// <param name="IsJson">One JSON object a line, in place of text.</param>
internal sealed record LogSettings(LogLevel Level, bool IsJson);
