using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.AspNetCore.Upstreams;

/// <summary>What the proxy introduces itself to a server with, where it speaks for no client: it cannot be asked anything.</summary>
internal static class OwnIntroduction
{
    /// <summary>An <c>initialize</c> of a protocol version.</summary>
    public static JsonRpcMessage Initialize(string protocolVersion)
    {
        var version = typeof(OwnIntroduction).Assembly.GetName().Version?.ToString(3) ?? "0";
        return JsonSplice.Reparse(Encoding.UTF8.GetBytes(
            $$$$"""{"jsonrpc":"2.0","id":"mcp-proxy/initialize","method":"initialize","params":{"protocolVersion":"{{{{protocolVersion}}}}","capabilities":{},"clientInfo":{"name":"mcp-proxy","version":"{{{{version}}}}"}}}"""));
    }
}
