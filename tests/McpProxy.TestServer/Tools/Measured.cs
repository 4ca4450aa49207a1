namespace McpProxy.TestServer.Tools;

/// <summary>Text and how long it is.</summary>
internal sealed record Measured(string Text, int Length);
