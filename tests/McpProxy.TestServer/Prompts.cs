using System.ComponentModel;
using ModelContextProtocol.Server;

namespace McpProxy.TestServer;

[McpServerPromptType]
internal sealed class Prompts
{
    [McpServerPrompt(Name = "greeting")]
    [Description("Greets someone.")]
    public static string Greeting(string name) => $"Say hello to {name}.";
}
