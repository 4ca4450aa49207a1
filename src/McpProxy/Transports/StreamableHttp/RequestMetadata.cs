using McpProxy.JsonRpc;

namespace McpProxy.Transports.StreamableHttp;

/// <summary>What of a modern request's body is mirrored into HTTP headers (MCP 2026-07-28, "Standard Request Headers").</summary>
internal static class RequestMetadata
{
    /// <summary>The value that <c>Mcp-Name</c> has for this request, or null when the request has none.</summary>
    public static string? NameOf(in JsonRpcMessage request)
    {
        var member = request.Is("tools/call"u8) || request.Is("prompts/get"u8) ? "name"u8
            : request.Is("resources/read"u8) ? "uri"u8
            : default;
        return member.IsEmpty ? null : JsonMembers.AsString(JsonMembers.Find(request.Params, member));
    }
}
