using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>What a legacy server gets of a modern client's request.</summary>
internal static class LegacyRequest
{
    /// <summary>The request without what the session knows already.</summary>
    /// <param name="request">The request.</param>
    /// <param name="id">The id to send it by; its progress token becomes the same.</param>
    public static JsonRpcMessage From(in JsonRpcMessage request, JsonRpcId id)
    {
        var parameters = new ObjectEdit(request.Params).Remove("inputResponses").Remove("requestState");
        var meta = new ObjectEdit(parameters.Find("_meta")).RemoveStarting(MetaKey.Prefix);
        if (!meta.Find("progressToken").IsEmpty)
        {
            meta.Set("progressToken", id.Utf8Text);
        }

        _ = meta.IsEmpty ? parameters.Remove("_meta") : parameters.Set("_meta", meta.ToUtf8());
        return MessageEdit.WithParams(request, parameters, id);
    }

    /// <summary>The <c>initialize</c> that opens a session for a client.</summary>
    /// <param name="id">Its id.</param>
    /// <param name="clientInfo">JSON text; empty when the client does not say who it is.</param>
    /// <param name="capabilities">JSON text of the client's capabilities.</param>
    public static JsonRpcMessage Initialize(JsonRpcId id, ReadOnlyMemory<byte> clientInfo, ReadOnlyMemory<byte> capabilities)
    {
        var version = typeof(LegacyRequest).Assembly.GetName().Version?.ToString(3) ?? "0";
        var parameters = new ObjectEdit(default)
            .Set("protocolVersion", ObjectEdit.Quoted(Revision.NewestLegacy))
            .Set("capabilities", capabilities)
            .Set("clientInfo", clientInfo.Span is [(byte)'{', ..] ? clientInfo : (byte[])[.. "{\"name\":\"mcp-proxy\",\"version\":"u8, .. ObjectEdit.Quoted(version), (byte)'}']);
        return MessageEdit.Request(id, "\"initialize\""u8, parameters.ToUtf8().Span);
    }
}
