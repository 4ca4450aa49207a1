using McpProxy.JsonRpc;

namespace McpProxy.Eras;

/// <summary>Makes messages of messages: another id, other parameters, another result; the rest stays byte for byte.</summary>
internal static class MessageEdit
{
    /// <summary>A request or notification with other parameters, and another id where one is given.</summary>
    public static JsonRpcMessage WithParams(in JsonRpcMessage message, ReadOnlyMemory<byte> parameters, JsonRpcId id = default)
    {
        if (!message.Params.IsEmpty)
        {
            return With(message, message.ParamsRange, parameters, id);
        }

        var end = message.Utf8.Length - 1;
        return With(message, end..end, (byte[])[.. ",\"params\":"u8, .. parameters.Span], id);
    }

    /// <summary>A response with another result, and another id where one is given.</summary>
    public static JsonRpcMessage WithResult(in JsonRpcMessage message, ReadOnlyMemory<byte> result, JsonRpcId id = default) => With(message, message.ResultRange, result, id);

    /// <summary>A response that carries a result.</summary>
    public static JsonRpcMessage Result(JsonRpcId id, ReadOnlySpan<byte> result) =>
        JsonSplice.Reparse((byte[])[.. "{\"jsonrpc\":\"2.0\",\"id\":"u8, .. id.Utf8Text.Span, .. ",\"result\":"u8, .. result, (byte)'}']);

    /// <summary>A request.</summary>
    /// <param name="id">Its id.</param>
    /// <param name="method">The text of its method, quoted.</param>
    /// <param name="parameters">The text of its parameters; empty for none.</param>
    public static JsonRpcMessage Request(JsonRpcId id, ReadOnlySpan<byte> method, ReadOnlySpan<byte> parameters) => JsonSplice.Reparse(parameters.IsEmpty
        ? (byte[])[.. "{\"jsonrpc\":\"2.0\",\"id\":"u8, .. id.Utf8Text.Span, .. ",\"method\":"u8, .. method, (byte)'}']
        : (byte[])[.. "{\"jsonrpc\":\"2.0\",\"id\":"u8, .. id.Utf8Text.Span, .. ",\"method\":"u8, .. method, .. ",\"params\":"u8, .. parameters, (byte)'}']);

    /// <summary>A notification.</summary>
    /// <param name="method">The text of its method, quoted.</param>
    /// <param name="parameters">The text of its parameters; empty for none.</param>
    public static JsonRpcMessage Notification(ReadOnlySpan<byte> method, ReadOnlySpan<byte> parameters) => JsonSplice.Reparse(parameters.IsEmpty
        ? (byte[])[.. "{\"jsonrpc\":\"2.0\",\"method\":"u8, .. method, (byte)'}']
        : (byte[])[.. "{\"jsonrpc\":\"2.0\",\"method\":"u8, .. method, .. ",\"params\":"u8, .. parameters, (byte)'}']);

    private static JsonRpcMessage With(in JsonRpcMessage message, Range range, ReadOnlyMemory<byte> text, JsonRpcId id) => JsonSplice.Reparse(
        id.IsNone ? JsonSplice.Apply(message.Utf8, (range, text))
        : message.IdRange.Start.Value < range.Start.Value ? JsonSplice.Apply(message.Utf8, (message.IdRange, id.Utf8Text), (range, text))
        : JsonSplice.Apply(message.Utf8, (range, text), (message.IdRange, id.Utf8Text)));
}
