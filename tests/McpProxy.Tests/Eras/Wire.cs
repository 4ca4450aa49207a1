using System.Globalization;
using System.Text.Json.Nodes;

namespace McpProxy.Tests.Eras;

/// <summary>Messages of both eras, as they go over the wire.</summary>
internal static class Wire
{
    public const string Capabilities = """{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}""";

    public const string Initialize = """{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{},"roots":{}},"clientInfo":{"name":"c","version":"1"}}}""";

    public const string Initialized = """{"jsonrpc":"2.0","method":"notifications/initialized"}""";

    public const string DiscoverResult = """{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"extensions":{"x/y":{}}},"instructions":"do","ttlMs":5,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"2"}}}""";

    public const string InitializeResult = """{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"serverInfo":{"name":"s","version":"2"},"instructions":"do"}""";

    public const string Meta = "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientInfo\":{\"name\":\"m\",\"version\":\"1\"},\"io.modelcontextprotocol/clientCapabilities\":" + Capabilities;

    public const string Discover = "{\"jsonrpc\":\"2.0\",\"id\":\"d\",\"method\":\"server/discover\",\"params\":{\"_meta\":{" + Meta + "}}}";

    /// <summary>A modern <c>tools/call</c>.</summary>
    public static string ModernCall(int id, string more = "", string meta = "", string tool = "t") =>
        string.Create(CultureInfo.InvariantCulture, $"{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{{\"a\":1.0}}{more},\"_meta\":{{{Meta}{meta}}}}}}}");

    public static string Result(JsonNode? id, string result) => $"{{\"jsonrpc\":\"2.0\",\"id\":{id!.ToJsonString()},\"result\":{result}}}";

    public static string Error(JsonNode? id, int code, string data = "null") =>
        string.Create(CultureInfo.InvariantCulture, $"{{\"jsonrpc\":\"2.0\",\"id\":{id!.ToJsonString()},\"error\":{{\"code\":{code},\"message\":\"m{code}\",\"data\":{data}}}}}");
}
