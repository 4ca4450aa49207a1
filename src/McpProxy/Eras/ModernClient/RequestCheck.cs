using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>What a modern server refuses before it does anything (MCP 2026-07-28, "Per-request protocol fields").</summary>
internal static class RequestCheck
{
    /// <summary>The error that a request is owed; null when there is nothing wrong with it.</summary>
    public static JsonRpcMessage? Problem(in JsonRpcMessage request)
    {
        var meta = request.Meta();
        if (JsonMembers.AsString(request.ProtocolVersion()) is not { } version)
        {
            return Invalid(request, "Invalid params: _meta must have \"io.modelcontextprotocol/protocolVersion\", a string");
        }

        if (JsonMembers.Find(meta, "io.modelcontextprotocol/clientCapabilities"u8).Span is not [(byte)'{', ..])
        {
            return Invalid(request, "Invalid params: _meta must have \"io.modelcontextprotocol/clientCapabilities\", an object");
        }

        if (version != Revision.Modern)
        {
            return JsonRpcWriter.Error(
                request.Id,
                JsonRpcErrorCode.UnsupportedProtocolVersion,
                $"Unsupported protocol version: {version}",
                (byte[])[.. "{\"supported\":["u8, .. ObjectEdit.Quoted(Revision.Modern), .. "],\"requested\":"u8, .. request.ProtocolVersion().Span, (byte)'}']);
        }

        var level = JsonMembers.Find(meta, "io.modelcontextprotocol/logLevel"u8);
        if (!level.IsEmpty && LogSeverity.RankOf(JsonMembers.AsString(level)) < 0)
        {
            return Invalid(request, "Invalid params: \"io.modelcontextprotocol/logLevel\" must be debug, info, notice, warning, error, critical, alert or emergency");
        }

        if (request.Is("subscriptions/listen"u8) && !ListenRequest.IsValid(request))
        {
            return Invalid(request, "Invalid params: \"notifications\" must be an object, and its \"resourceSubscriptions\" a list of strings");
        }

        return request.Is("initialize"u8) || request.Is("ping"u8) || request.Is("logging/setLevel"u8) || request.Is("resources/subscribe"u8) || request.Is("resources/unsubscribe"u8)
            ? JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.MethodNotFound, "Method not found: this protocol version has no such method")
            : null;
    }

    private static JsonRpcMessage Invalid(in JsonRpcMessage request, string message) => JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.InvalidParams, message);
}
