using McpProxy.JsonRpc;

namespace McpProxy.Eras.LegacyClient;

/// <summary>
/// What a legacy client has said once, in its <c>initialize</c>, and each modern request says anew (MCP 2026-07-28,
/// "Per-request protocol fields").
/// </summary>
/// <param name="Version">The modern revision that the server speaks.</param>
/// <param name="ClientInfo">JSON text; empty when the client gave none.</param>
/// <param name="ClientCapabilities">JSON text of an object.</param>
internal sealed record ModernRequest(string Version, ReadOnlyMemory<byte> ClientInfo, ReadOnlyMemory<byte> ClientCapabilities)
{
    /// <summary>What a client's <c>initialize</c> says about it.</summary>
    public static ModernRequest Of(in JsonRpcMessage initialize, string version)
    {
        var capabilities = JsonMembers.Find(initialize.Params, "capabilities"u8);
        return new(
            version,
            JsonMembers.Find(initialize.Params, "clientInfo"u8).ToArray(),
            capabilities.Span is [(byte)'{', ..] ? capabilities.ToArray() : "{}"u8.ToArray());
    }

    /// <summary>Whether a client's request has room for what is said anew: its params are an object, or none.</summary>
    public static bool CanCarry(in JsonRpcMessage request) => request.Params.Span is [] or [(byte)'{', ..] || request.Params.Span.SequenceEqual("null"u8);

    /// <summary>A client's request as the server takes it.</summary>
    /// <param name="request">The request.</param>
    /// <param name="logLevel">JSON text of the level that the client has set; empty for none.</param>
    /// <param name="id">The id to send it by; none to keep the client's.</param>
    public JsonRpcMessage From(in JsonRpcMessage request, ReadOnlyMemory<byte> logLevel, JsonRpcId id = default) =>
        MessageEdit.WithParams(request, Params(request.Params, logLevel), id);

    /// <summary>The same request once more, with the answers that the server has asked for (MCP 2026-07-28, "Multi Round-Trip Requests").</summary>
    /// <param name="request">The client's request.</param>
    /// <param name="logLevel">JSON text of the level that the client has set; empty for none.</param>
    /// <param name="id">The id to send it by.</param>
    /// <param name="inputResponses">JSON text of the answers; empty when nothing was asked.</param>
    /// <param name="requestState">JSON text of what the server wants back as it is; empty for none.</param>
    public JsonRpcMessage Again(in JsonRpcMessage request, ReadOnlyMemory<byte> logLevel, JsonRpcId id, ReadOnlyMemory<byte> inputResponses, ReadOnlyMemory<byte> requestState)
    {
        var parameters = Params(request.Params, logLevel);
        if (!inputResponses.IsEmpty)
        {
            parameters.Set("inputResponses", inputResponses);
        }

        if (!requestState.IsEmpty)
        {
            parameters.Set("requestState", requestState);
        }

        return MessageEdit.WithParams(request, parameters, id);
    }

    /// <summary>A request of the proxy's own.</summary>
    public JsonRpcMessage Own(JsonRpcId id, ReadOnlySpan<byte> method, ReadOnlyMemory<byte> parameters, ReadOnlyMemory<byte> logLevel = default) =>
        MessageEdit.Request(id, method, Params(parameters, logLevel).ToUtf8().Span);

    private ObjectEdit Params(ReadOnlyMemory<byte> parameters, ReadOnlyMemory<byte> logLevel)
    {
        var edit = new ObjectEdit(parameters);
        var meta = new ObjectEdit(edit.Find("_meta")).Set(MetaKey.ProtocolVersion, ObjectEdit.Quoted(Version));
        if (!ClientInfo.IsEmpty)
        {
            meta.Set(MetaKey.ClientInfo, ClientInfo);
        }

        meta.Set(MetaKey.ClientCapabilities, ClientCapabilities);
        if (!logLevel.IsEmpty)
        {
            meta.Set(MetaKey.LogLevel, logLevel);
        }

        return edit.Set("_meta", meta.ToUtf8());
    }
}
