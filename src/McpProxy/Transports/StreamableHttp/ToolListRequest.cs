using System.Buffers;
using System.Text.Json;
using McpProxy.JsonRpc;

namespace McpProxy.Transports.StreamableHttp;

/// <summary>The <c>tools/list</c> that the proxy sends itself, when a call comes before the client ever listed the tools.</summary>
internal static class ToolListRequest
{
    /// <summary>The most pages of a list that are asked for.</summary>
    public const int MaxPages = 50;

    /// <summary>A request with the protocol members of a call's <c>_meta</c>, and nothing else of it.</summary>
    public static JsonRpcMessage For(in JsonRpcMessage call, string? cursor)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using var writer = new Utf8JsonWriter(buffer);
        writer.WriteStartObject();
        writer.WriteString("jsonrpc"u8, "2.0"u8);
        writer.WriteString("id"u8, "mcp-proxy/tools/list"u8);
        writer.WriteString("method"u8, "tools/list"u8);
        writer.WriteStartObject("params"u8);
        if (cursor is not null)
        {
            writer.WriteString("cursor"u8, cursor);
        }

        var meta = call.Meta();
        if (!meta.IsEmpty)
        {
            writer.WriteStartObject("_meta"u8);
            Copy(writer, meta, "io.modelcontextprotocol/protocolVersion"u8);
            Copy(writer, meta, "io.modelcontextprotocol/clientInfo"u8);
            Copy(writer, meta, "io.modelcontextprotocol/clientCapabilities"u8);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.Flush();
        return JsonSplice.Reparse(buffer.WrittenMemory);
    }

    private static void Copy(Utf8JsonWriter writer, ReadOnlyMemory<byte> meta, ReadOnlySpan<byte> name)
    {
        var value = JsonMembers.Find(meta, name);
        if (!value.IsEmpty)
        {
            writer.WritePropertyName(name);
            writer.WriteRawValue(value.Span, skipInputValidation: true);
        }
    }

    /// <summary>The cursor of the next page; null on the last one.</summary>
    public static string? NextCursor(in JsonRpcMessage response) => JsonMembers.AsString(JsonMembers.Find(response.Result, "nextCursor"u8));
}
