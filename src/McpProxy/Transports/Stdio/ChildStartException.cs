namespace McpProxy.Transports.Stdio;

/// <summary>A child process could not be started; the message says why and what to do.</summary>
public sealed class ChildStartException(string message) : IOException(message);
