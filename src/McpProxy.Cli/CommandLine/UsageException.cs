namespace McpProxy.Cli.CommandLine;

/// <summary>The command line is wrong; the message says what and what to do.</summary>
internal sealed class UsageException(string message) : Exception(message);
