using System.Text.Json;

namespace McpProxy.EndToEnd.Tests.Clients;

/// <summary>Messages as they go over the wire, for tests that are about the wire.</summary>
internal static class Messages
{
    public const string Initialized = """{"jsonrpc":"2.0","method":"notifications/initialized"}""";

    public static string Initialize(int id) =>
        $$$$"""{"jsonrpc":"2.0","id":{{{{id}}}},"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}""";

    public static string Call(int id, string tool, object? arguments = null)
    {
        var members = JsonSerializer.Serialize(arguments ?? new { });
        return $$$"""{"jsonrpc":"2.0","id":{{{id}}},"method":"tools/call","params":{"name":"{{{tool}}}","arguments":{{{members}}} }}""";
    }
}
