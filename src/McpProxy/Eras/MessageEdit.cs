using McpProxy.Buffers;
using McpProxy.JsonRpc;

namespace McpProxy.Eras;

/// <summary>Makes messages of messages: another id, other parameters, another result; the rest stays byte for byte.</summary>
internal static class MessageEdit
{
    /// <summary>A request or notification with other parameters, and another id where one is given.</summary>
    public static JsonRpcMessage WithParams(in JsonRpcMessage message, ObjectEdit parameters, JsonRpcId id = default)
    {
        if (!message.Params.IsEmpty)
        {
            return With(message, message.ParamsRange, [], parameters, id);
        }

        var end = message.Utf8.Length - 1;
        return With(message, end..end, ",\"params\":"u8, parameters, id);
    }

    /// <summary>A response with another result, and another id where one is given.</summary>
    public static JsonRpcMessage WithResult(in JsonRpcMessage message, ObjectEdit result, JsonRpcId id = default) => With(message, message.ResultRange, [], result, id);

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

    /// <summary>A message with something else in one place, and another id where one is given: all of it is written once.</summary>
    private static JsonRpcMessage With(in JsonRpcMessage message, Range place, ReadOnlySpan<byte> name, ObjectEdit value, JsonRpcId id)
    {
        var source = message.Utf8.Span;
        var idPlace = id.IsNone ? 0..0 : message.IdRange;
        var idText = id.IsNone ? default : id.Utf8Text.Span;
        var target = new byte[source.Length - source[place].Length - source[idPlace].Length + name.Length + value.Length + idText.Length];
        if (idPlace.Start.Value <= place.Start.Value)
        {
            var rest = target.AsSpan().Append(source[..idPlace.Start]).Append(idText).Append(source[idPlace.End..place.Start]).Append(name);
            value.Write(rest).Append(source[place.End..]);
        }
        else
        {
            var rest = target.AsSpan().Append(source[..place.Start]).Append(name);
            value.Write(rest).Append(source[place.End..idPlace.Start]).Append(idText).Append(source[idPlace.End..]);
        }

        return JsonSplice.Reparse(target);
    }
}
