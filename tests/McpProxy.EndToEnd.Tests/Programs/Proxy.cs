using System.Text.Json.Nodes;

namespace McpProxy.EndToEnd.Tests.Programs;

/// <summary>The program under test.</summary>
public sealed class Proxy : RunningProgram
{
    private Proxy(IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment)
        : base(File, arguments, environment)
    {
    }

    /// <summary>The native program if <c>MCP_PROXY_BINARY</c> names it, else the one that was built along with the tests.</summary>
    public static string File { get; } = Environment.GetEnvironmentVariable("MCP_PROXY_BINARY") is { Length: > 0 } path
        ? Path.GetFullPath(path)
        : Dotnet.Program("mcp-proxy");

    /// <summary>Options that let a .NET child start wherever the runtime is: a child does not inherit such variables.</summary>
    public static string[] ChildOptions { get; } = ["--env", "DOTNET_ROOT", Dotnet.Root];

    /// <summary>Starts the program on standard input and output.</summary>
    public static Proxy Start(IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null) => new([.. arguments], environment);

    /// <summary>Sends messages to its standard input.</summary>
    public async Task SendAsync(params string[] messages)
    {
        foreach (var message in messages)
        {
            await Input.WriteLineAsync(message);
        }
    }

    /// <summary>The answer to a request of this id, from its standard output.</summary>
    public async Task<JsonObject> AnswerAsync(int id)
    {
        var line = await Output.FirstAsync($"the answer to request {id}", line => IsAnswer(JsonNode.Parse(line)!.AsObject()));
        return JsonNode.Parse(line)!.AsObject();

        bool IsAnswer(JsonObject message) => !message.ContainsKey("method") && message["id"] is JsonValue value && value.TryGetValue<int>(out var number) && number == id;
    }

    /// <summary>Where the program says that it serves a transport.</summary>
    public async Task<Uri> ListeningAsync(Transport transport)
    {
        var announcement = $"Listening ({(transport == Transport.Sse ? "sse" : "streamable-http")}): ";
        var line = await Errors.FirstAsync($"\"{announcement}\" on the proxy's standard error", line => line.Contains(announcement, StringComparison.Ordinal));
        return new(line[(line.IndexOf(announcement, StringComparison.Ordinal) + announcement.Length)..]);
    }
}
