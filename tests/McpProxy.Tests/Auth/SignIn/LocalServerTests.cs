using System.Text;
using System.Text.Json;
using McpProxy.Auth.SignIn;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.SignIn;

public sealed class LocalServerTests
{
    private readonly LocalServer _server = new("https://mcp.test", "Sign in at \"x\"");

    [Theory]
    [InlineData("\"2024-11-05\"", "2024-11-05")]
    [InlineData("\"2025-03-26\"", "2025-03-26")]
    [InlineData("\"2025-06-18\"", "2025-06-18")]
    [InlineData("\"2025-11-25\"", "2025-11-25")]
    [InlineData("\"1999-01-01\"", "2025-11-25")]
    [InlineData("\"2026-07-28\"", "2025-11-25")]
    [InlineData("7", "2025-11-25")]
    public void A_client_is_answered_in_its_own_version(string wanted, string version)
    {
        using var answer = JsonDocument.Parse(_server.Introduction(Message($$$"""{"jsonrpc":"2.0","id":"a\u00e4\"","method":"initialize","params":{"protocolVersion":{{{wanted}}}}}""")).Utf8);
        answer.RootElement.GetProperty("id").GetString().ShouldBe("aä\"");
        var result = answer.RootElement.GetProperty("result");
        result.GetProperty("protocolVersion").GetString().ShouldBe(version);
        result.GetProperty("serverInfo").GetProperty("name").GetString().ShouldBe("https://mcp.test");
        result.GetProperty("instructions").GetString().ShouldBe("Sign in at \"x\"");
        var capabilities = result.GetProperty("capabilities");
        capabilities.EnumerateObject().Select(member => member.Name).ShouldBe(["tools", "prompts", "resources", "logging"], ignoreOrder: true);
        foreach (var list in (string[])["tools", "prompts", "resources"])
        {
            capabilities.GetProperty(list).GetProperty("listChanged").GetBoolean().ShouldBeTrue();
        }
    }

    [Fact]
    public void Without_instructions_there_are_none() =>
        Text(new LocalServer("x", null).Introduction(Message("""{"jsonrpc":"2.0","id":1,"method":"initialize"}"""))).ShouldNotContain("instructions");

    [Theory]
    [InlineData("tools/list", "tools", """{"tools":[]}""")]
    [InlineData("prompts/list", "prompts", """{"prompts":[]}""")]
    [InlineData("resources/list", "resources", """{"resources":[]}""")]
    [InlineData("resources/templates/list", "resources", """{"resourceTemplates":[]}""")]
    [InlineData("logging/setLevel", "logging", "{}")]
    public void What_was_promised_and_is_lacking_is_empty(string method, string capability, string result)
    {
        var request = Message($$$"""{"jsonrpc":"2.0","id":5,"method":"{{{method}}}","params":{"cursor":"x"}}""");
        _server.Answer(request).ShouldBeNull();
        Meet("""{"completions":{}}""");
        Text(_server.Answer(request).ShouldNotBeNull()).ShouldBe($$$"""{"jsonrpc":"2.0","id":5,"result":{{{result}}}}""");
        Meet($$$"""{"{{{capability}}}":{}}""");
        _server.Answer(request).ShouldBeNull();
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":5,"method":"tools/call"}""")]
    [InlineData("""{"jsonrpc":"2.0","id":5,"method":"ping"}""")]
    [InlineData("""{"jsonrpc":"2.0","method":"tools/list"}""")]
    [InlineData("""{"jsonrpc":"2.0","id":5,"result":{}}""")]
    public void The_server_speaks_for_itself_otherwise(string message)
    {
        Meet("{}");
        _server.Answer(Message(message)).ShouldBeNull();
    }

    [Fact]
    public void Clients_are_told()
    {
        LocalServer.Changes().Select(Text).ShouldBe(
        [
            """{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}""",
            """{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}""",
            """{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}""",
        ]);
        using var log = JsonDocument.Parse(LocalServer.Log("go to \"x\"\n").Utf8);
        log.RootElement.GetProperty("method").GetString().ShouldBe("notifications/message");
        log.RootElement.GetProperty("params").GetProperty("level").GetString().ShouldBe("warning");
        log.RootElement.GetProperty("params").GetProperty("data").GetString().ShouldBe("go to \"x\"\n");
    }

    private static JsonRpcMessage Message(string json) =>
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out var fault) ? message : throw new ArgumentException(fault.Message, nameof(json));

    private static string Text(JsonRpcMessage message) => Encoding.UTF8.GetString(message.Utf8.Span);

    private void Meet(string capabilities) => _server.Meet(Message($$$"""{"jsonrpc":"2.0","id":1,"result":{"capabilities":{{{capabilities}}}}}"""));
}
