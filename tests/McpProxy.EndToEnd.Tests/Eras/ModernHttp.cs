using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>A modern client over HTTP that the test plays request by request: what it does with questions is up to the test.</summary>
/// <param name="url">Where the proxy serves.</param>
/// <param name="key">The key that it shows.</param>
internal sealed class ModernHttp(Uri url, string key) : IDisposable
{
    private readonly HttpClient _http = new();
    private int _lastId;

    /// <summary>Calls a tool.</summary>
    /// <returns>The answer, whatever it is.</returns>
    public Task<JsonObject> CallAsync(string tool, JsonObject? arguments = null) => SendAsync(tool, arguments, null, null);

    /// <summary>Makes a call again that was answered with a question.</summary>
    /// <param name="tool">The tool.</param>
    /// <param name="state">The state that came with the question.</param>
    /// <param name="name">What to answer.</param>
    public Task<JsonObject> AnswerAsync(string tool, string state, string name) => SendAsync(
        tool, null, state, new JsonObject { ["q1"] = new JsonObject { ["action"] = "accept", ["content"] = new JsonObject { ["name"] = name } } });

    public void Dispose() => _http.Dispose();

    private async Task<JsonObject> SendAsync(string tool, JsonObject? arguments, string? state, JsonObject? answers)
    {
        var parameters = new JsonObject
        {
            ["name"] = tool,
            ["arguments"] = arguments ?? [],
            ["_meta"] = new JsonObject
            {
                ["io.modelcontextprotocol/protocolVersion"] = "2026-07-28",
                ["io.modelcontextprotocol/clientInfo"] = new JsonObject { ["name"] = "raw", ["version"] = "1" },
                ["io.modelcontextprotocol/clientCapabilities"] = new JsonObject { ["elicitation"] = new JsonObject { ["form"] = new JsonObject() } },
            },
        };
        if (state is not null)
        {
            parameters["requestState"] = state;
            parameters["inputResponses"] = answers;
        }

        var id = Interlocked.Increment(ref _lastId);
        using var request = new HttpRequestMessage(HttpMethod.Post, url)
        {
            Content = new StringContent(
                new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id, ["method"] = "tools/call", ["params"] = parameters }.ToJsonString(), Encoding.UTF8, new MediaTypeHeaderValue("application/json")),
        };
        request.Headers.Accept.ParseAdd("application/json, text/event-stream");
        request.Headers.Add("MCP-Protocol-Version", "2026-07-28");
        request.Headers.Add("Mcp-Method", "tools/call");
        request.Headers.Add("Mcp-Name", tool);
        request.Headers.Authorization = new("Bearer", key);
        using var response = await _http.SendAsync(request, TestContext.Current.CancellationToken).Within($"the answer to {tool}");
        var body = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken).Within($"the body of the answer to {tool}");
        var last = body.Split('\n').LastOrDefault(line => line.StartsWith("data: {", StringComparison.Ordinal)) is { } data ? data["data: ".Length..] : body;
        var answer = JsonNode.Parse(last)!.AsObject();
        answer["id"]!.GetValue<int>().ShouldBe(id);
        return answer;
    }
}
