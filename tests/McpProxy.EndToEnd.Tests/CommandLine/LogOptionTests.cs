using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>What goes to standard error.</summary>
public sealed class LogOptionTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData("--silent")]
    [InlineData("--log-level", "none")]
    [InlineData("--logLevel", "none")]
    public async Task Nothing_when_silence_is_asked_for(params string[] words) =>
        (await ErrorsAsync(words)).ShouldBeEmpty();

    [Fact]
    public async Task Json_lines_when_asked_for()
    {
        foreach (var line in await ErrorsAsync("--debug", "--log-format", "json"))
        {
            var entry = JsonNode.Parse(line)!;
            entry["level"]!.GetValue<string>().ShouldNotBeEmpty();
            entry["message"]!.GetValue<string>().ShouldNotBeEmpty();
        }
    }

    [Fact]
    public async Task Words_of_the_child_by_default() =>
        (await ErrorsAsync()).ShouldContain(line => line.Contains("leaving with 3", StringComparison.Ordinal));

    private async Task<IReadOnlyList<string>> ErrorsAsync(params string[] words)
    {
        var proxy = Own(Proxy.Start([.. words, .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        await proxy.SendAsync(Messages.Initialize(1), Messages.Initialized, "this is no message", Messages.Call(2, "exit", new { code = 3 }));
        await proxy.ExitAsync();
        return proxy.Errors.Lines;
    }
}
