namespace McpProxy.EndToEnd.Tests;

public enum Transport
{
    Stdio,
    Sse,
    StreamableHttp,
}
