namespace McpProxy.JsonRpc;

/// <summary>The members of a message's <c>params</c> that say where it belongs.</summary>
internal static class McpMeta
{
    private static ReadOnlySpan<byte> ProtocolVersionKey => "io.modelcontextprotocol/protocolVersion"u8;

    /// <summary>
    /// Whether a request is of the modern era: its <c>_meta</c> names a protocol version (MCP 2026-07-28, "Versioning").
    /// </summary>
    public static bool IsModern(this in JsonRpcMessage message) => !message.ProtocolVersion().IsEmpty;

    /// <summary>The JSON text of the protocol version in a modern request's <c>_meta</c>; empty on a legacy one.</summary>
    public static ReadOnlyMemory<byte> ProtocolVersion(this in JsonRpcMessage message) =>
        !message.MayHaveMeta || message.Params.Span.IndexOf(ProtocolVersionKey) < 0 ? default : JsonMembers.Find(message.Meta(), ProtocolVersionKey);

    /// <summary>The JSON text of <c>params._meta</c>; empty when there is none.</summary>
    public static ReadOnlyMemory<byte> Meta(this in JsonRpcMessage message) => JsonMembers.Find(message.Params, "_meta"u8);

    /// <summary>The progress token that a request asks to be told by, or none.</summary>
    public static JsonRpcId ProgressToken(this in JsonRpcMessage message) =>
        (message.Kind == JsonRpcMessageKind.Request && !message.MayHaveMeta) || message.Params.Span.IndexOf("progressToken"u8) < 0 ? default
        : JsonRpcId.FromJson(message.Kind == JsonRpcMessageKind.Request
            ? JsonMembers.Find(message.Meta(), "progressToken"u8)
            : JsonMembers.Find(message.Params, "progressToken"u8));

    /// <summary>The subscription that a modern notification belongs to, or none (MCP 2026-07-28, "Subscriptions").</summary>
    public static JsonRpcId SubscriptionId(this in JsonRpcMessage message) =>
        !message.MayHaveMeta || message.Params.Span.IndexOf("io.modelcontextprotocol/subscriptionId"u8) < 0 ? default
        : JsonRpcId.FromJson(JsonMembers.Find(message.Meta(), "io.modelcontextprotocol/subscriptionId"u8));

    /// <summary>The code of an error response; null when the message is none.</summary>
    public static int? ErrorCode(this in JsonRpcMessage message) =>
        message.IsError && System.Buffers.Text.Utf8Parser.TryParse(JsonMembers.Find(message.Utf8, "error"u8, "code"u8).Span, out int code, out _) ? code : null;

    /// <summary>The request that a <c>notifications/cancelled</c> names, or none.</summary>
    public static JsonRpcId CancelledRequest(this in JsonRpcMessage message) =>
        message.Kind == JsonRpcMessageKind.Notification && message.Is("notifications/cancelled"u8)
            ? JsonRpcId.FromJson(JsonMembers.Find(message.Params, "requestId"u8))
            : default;
}
