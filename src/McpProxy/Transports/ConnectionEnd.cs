namespace McpProxy.Transports;

/// <summary>Why a connection ended.</summary>
/// <param name="Reason">Which of the ways to end it was.</param>
/// <param name="Detail">The same for a person to read.</param>
/// <param name="ExitCode">The child's exit code (128 + the signal's number when a signal ended it), where a child's exit was the end.</param>
public sealed record ConnectionEnd(ConnectionEndReason Reason, string Detail, int? ExitCode = null);
