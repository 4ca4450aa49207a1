namespace McpProxy.Cli.Demo;

/// <summary>A request to the demo server fails with a JSON-RPC error.</summary>
internal sealed class DemoException(int code, string message) : Exception(message)
{
    public int Code { get; } = code;
}
