using System.Buffers;
using System.Text.Json;

namespace McpProxy.JsonRpc;

/// <summary>Writes the few messages that the proxy makes itself.</summary>
internal static class JsonRpcWriter
{
    /// <summary>An error response, as a message.</summary>
    public static JsonRpcMessage Error(JsonRpcId id, int code, string message, ReadOnlyMemory<byte> data = default) => Parse(ErrorUtf8(id, code, message, data));

    /// <summary>An error response, as bytes. Without an id it carries <c>"id":null</c>, as JSON-RPC 2.0 section 5 says.</summary>
    /// <param name="id">The id of the request that is answered.</param>
    /// <param name="code">The code.</param>
    /// <param name="message">What is wrong.</param>
    /// <param name="data">JSON text with more about it; empty for none.</param>
    public static ReadOnlyMemory<byte> ErrorUtf8(JsonRpcId id, int code, string message, ReadOnlyMemory<byte> data = default)
    {
        var buffer = new ArrayBufferWriter<byte>(128);
        using var writer = Writer(buffer);
        writer.WriteStartObject();
        writer.WriteString("jsonrpc"u8, "2.0"u8);
        WriteId(writer, "id"u8, id);
        writer.WriteStartObject("error"u8);
        writer.WriteNumber("code"u8, code);
        writer.WriteString("message"u8, message);
        if (!data.IsEmpty)
        {
            writer.WritePropertyName("data"u8);
            writer.WriteRawValue(data.Span);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.Flush();
        return buffer.WrittenMemory;
    }

    /// <summary>The error that a fault's sender is owed.</summary>
    public static JsonRpcMessage Error(in JsonRpcFault fault) => Error(fault.Id, fault.Code, fault.Message);

    /// <summary>A <c>notifications/cancelled</c> for a request (MCP "Cancellation").</summary>
    public static JsonRpcMessage Cancelled(JsonRpcId requestId, string reason)
    {
        var buffer = new ArrayBufferWriter<byte>(128);
        using var writer = Writer(buffer);
        writer.WriteStartObject();
        writer.WriteString("jsonrpc"u8, "2.0"u8);
        writer.WriteString("method"u8, "notifications/cancelled"u8);
        writer.WriteStartObject("params"u8);
        WriteId(writer, "requestId"u8, requestId);
        writer.WriteString("reason"u8, reason);
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.Flush();
        return Parse(buffer.WrittenMemory);
    }

    private static Utf8JsonWriter Writer(ArrayBufferWriter<byte> buffer) =>
        new(buffer, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    private static void WriteId(Utf8JsonWriter writer, ReadOnlySpan<byte> name, JsonRpcId id)
    {
        writer.WritePropertyName(name);
        if (id.IsNone)
        {
            writer.WriteNullValue();
        }
        else
        {
            writer.WriteRawValue(id.Utf8Text.Span, skipInputValidation: true);
        }
    }

    private static JsonRpcMessage Parse(ReadOnlyMemory<byte> utf8) =>
        JsonRpcMessage.TryParse(utf8, out var message, out var fault) ? message : throw new InvalidOperationException(fault.Message);
}
