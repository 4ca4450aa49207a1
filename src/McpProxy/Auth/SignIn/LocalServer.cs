using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.Auth.SignIn;

/// <summary>What a client hears in place of a server that nobody has signed in to; and later in place of what that server turns out not to have.</summary>
internal sealed class LocalServer(string serverName, string? instructions)
{
    private static readonly string[] s_versions = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

    /// <summary>The lists that were promised, and the capability that a server has when it has them.</summary>
    private static readonly (string Method, string Capability, string Empty)[] s_lists =
    [
        ("tools/list", "tools", """{"tools":[]}"""),
        ("prompts/list", "prompts", """{"prompts":[]}"""),
        ("resources/list", "resources", """{"resources":[]}"""),
        ("resources/templates/list", "resources", """{"resourceTemplates":[]}"""),
        ("logging/setLevel", "logging", "{}"),
    ];

    private ReadOnlyMemory<byte>? _capabilities;

    /// <summary>The answer to <c>initialize</c>: the client's own version, and everything that a server can have, since this one may have it.</summary>
    public JsonRpcMessage Introduction(JsonRpcMessage initialize)
    {
        var wanted = JsonMembers.AsString(JsonMembers.Find(initialize.Params, "protocolVersion"u8));
        var version = s_versions.Contains(wanted, StringComparer.Ordinal) ? wanted! : s_versions[^1];
        return Result(initialize.Id, Encoding.UTF8.GetBytes(JsonText.Object(writer =>
        {
            writer.WriteString("protocolVersion", version);
            writer.WritePropertyName("capabilities");
            writer.WriteRawValue("""{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true},"logging":{}}""");
            writer.WriteStartObject("serverInfo");
            writer.WriteString("name", serverName);
            writer.WriteString("version", typeof(LocalServer).Assembly.GetName().Version?.ToString(3) ?? "0");
            writer.WriteEndObject();
            if (instructions is not null)
            {
                writer.WriteString("instructions", instructions);
            }
        })));
    }

    /// <summary>Learns what the real server has.</summary>
    public void Meet(JsonRpcMessage introduction) => _capabilities = JsonMembers.Find(introduction.Result, "capabilities"u8);

    /// <summary>The answer for what was promised and the real server lacks; null where it answers itself.</summary>
    public JsonRpcMessage? Answer(in JsonRpcMessage message)
    {
        if (_capabilities is not { } capabilities || message.Kind != JsonRpcMessageKind.Request)
        {
            return null;
        }

        foreach (var (method, capability, empty) in s_lists)
        {
            if (message.Is(Encoding.UTF8.GetBytes(method)) && JsonMembers.Find(capabilities, Encoding.UTF8.GetBytes(capability)).IsEmpty)
            {
                return Result(message.Id, Encoding.UTF8.GetBytes(empty));
            }
        }

        return null;
    }

    /// <summary>Tells a client that there is more to see now.</summary>
    public static IEnumerable<JsonRpcMessage> Changes() =>
        ((string[])["tools", "prompts", "resources"]).Select(list => Notification($$"""{"jsonrpc":"2.0","method":"notifications/{{list}}/list_changed"}"""));

    /// <summary>A log message for the client.</summary>
    public static JsonRpcMessage Log(string text) => Notification(JsonText.Object(writer =>
    {
        writer.WriteString("jsonrpc", "2.0");
        writer.WriteString("method", "notifications/message");
        writer.WriteStartObject("params");
        writer.WriteString("level", "warning");
        writer.WriteString("logger", "mcp-proxy");
        writer.WriteString("data", text);
        writer.WriteEndObject();
    }));

    /// <summary>A response with a result.</summary>
    public static JsonRpcMessage Result(JsonRpcId id, ReadOnlySpan<byte> result) =>
        JsonSplice.Reparse((byte[])[.. "{\"jsonrpc\":\"2.0\",\"id\":"u8, .. id.Utf8Text.Span, .. ",\"result\":"u8, .. result, (byte)'}']);

    private static JsonRpcMessage Notification(string json) => JsonSplice.Reparse(Encoding.UTF8.GetBytes(json));
}
