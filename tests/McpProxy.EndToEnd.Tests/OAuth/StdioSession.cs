using System.Text.Json;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>A client on the proxy's standard input and output, message by message: what is awaited, and what is not, is up to the test.</summary>
public sealed class StdioSession(Proxy proxy, Era era)
{
    private int _lastId;

    public Proxy Proxy { get; } = proxy;

    /// <summary>Sends a request.</summary>
    /// <returns>Its id.</returns>
    public async Task<int> SendAsync(string method, object? parameters = null)
    {
        var id = ++_lastId;
        var members = JsonSerializer.SerializeToNode(parameters ?? new { })!.AsObject();
        if (era == Era.Modern)
        {
            members["_meta"] = new JsonObject
            {
                ["io.modelcontextprotocol/protocolVersion"] = "2026-07-28",
                ["io.modelcontextprotocol/clientInfo"] = new JsonObject { ["name"] = "raw", ["version"] = "1" },
                ["io.modelcontextprotocol/clientCapabilities"] = new JsonObject(),
            };
        }

        await Proxy.SendAsync(new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id, ["method"] = method, ["params"] = members }.ToJsonString());
        return id;
    }

    public Task<JsonObject> AnswerAsync(int id) => Proxy.AnswerAsync(id);

    /// <summary>Sends a request and waits for its answer, whatever that is.</summary>
    public async Task<JsonObject> AskAsync(string method, object? parameters = null) => await AnswerAsync(await SendAsync(method, parameters));

    /// <summary>Sends <c>initialize</c> alone.</summary>
    /// <returns>Its id.</returns>
    public Task<int> SendInitializeAsync() => SendAsync("initialize", new { protocolVersion = "2025-11-25", capabilities = new { }, clientInfo = new { name = "raw", version = "1" } });

    /// <summary>Introduces the client to a server that must turn it away, with that or with the next request.</summary>
    /// <returns>The error.</returns>
    public async Task<string> TurnedAwayAsync()
    {
        var answer = await AnswerAsync(await SendInitializeAsync());
        return ErrorOf(answer["error"] is null ? await AskAsync("tools/list") : answer)["message"]!.GetValue<string>();
    }

    /// <summary>Says what a client says first: <c>initialize</c> and <c>notifications/initialized</c>, or <c>server/discover</c>.</summary>
    /// <returns>The result.</returns>
    public async Task<JsonObject> IntroduceAsync()
    {
        var answer = await AnswerAsync(era == Era.Modern ? await SendAsync("server/discover") : await SendInitializeAsync());
        if (era != Era.Modern)
        {
            await Proxy.SendAsync("""{"jsonrpc":"2.0","method":"notifications/initialized"}""");
        }

        return answer["result"]?.AsObject() ?? throw new InvalidOperationException($"refused: {answer.ToJsonString()}");
    }

    public Task<int> SendCallAsync(string tool, string text = "") => SendAsync("tools/call", new { name = tool, arguments = new { text } });

    /// <summary>Calls a tool.</summary>
    /// <returns>The text of its result.</returns>
    public async Task<string> CallAsync(string tool, string text = "") => TextOf(await AnswerAsync(await SendCallAsync(tool, text)));

    /// <summary>Calls a tool.</summary>
    /// <returns>The error that came in place of a result.</returns>
    public async Task<JsonObject> FailAsync(string tool = "echo") => ErrorOf(await AnswerAsync(await SendCallAsync(tool)));

    /// <summary>The first notification that is wanted, whether it came already or comes yet.</summary>
    public async Task<JsonObject> NotificationAsync(string method, Predicate<JsonObject>? isWanted = null)
    {
        var line = await Proxy.Output.FirstAsync(method, line => Parsed(line) is { } message && message["method"]?.GetValue<string>() == method && isWanted?.Invoke(message) != false);
        return Parsed(line);

        static JsonObject Parsed(string line) => JsonNode.Parse(line)!.AsObject();
    }

    /// <summary>Ends the session as a client does, and waits for the program's end.</summary>
    public async Task EndAsync()
    {
        Proxy.Input.Close();
        (await Proxy.ExitAsync()).ShouldBe(0);
    }

    public static string TextOf(JsonObject answer) =>
        answer["result"]?["content"]?[0]?["text"]?.GetValue<string>() ?? throw new InvalidOperationException($"no result: {answer.ToJsonString()}");

    public static JsonObject ErrorOf(JsonObject answer) => answer["error"]?.AsObject() ?? throw new InvalidOperationException($"no error: {answer.ToJsonString()}");
}
