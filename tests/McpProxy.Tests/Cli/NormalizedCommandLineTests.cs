using McpProxy.Cli.CommandLine;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Cli;

public sealed class NormalizedCommandLineTests
{
    [Theory]
    [InlineData("https://h/mcp", "", "https://h/mcp", "")]
    [InlineData("--headers|Authorization|Bearer X|https://h/sse", "--header|Authorization: Bearer X", "https://h/sse", "")]
    [InlineData("https://h/sse|-H|K|V|--debug", "--header|K: V|--debug", "https://h/sse", "")]
    [InlineData("https://h/sse|--header|K: V", "--header|K: V", "https://h/sse", "")]
    [InlineData("https://h/sse|9696|--allow-http", "--callback-port|9696|--allow-http", "https://h/sse", "")]
    [InlineData("login|https://h/mcp|--device-code", "--device-code", "https://h/mcp", "")]
    [InlineData("--auth-profile|work|logout|https://h/mcp", "--auth-profile|work", "https://h/mcp", "")]
    [InlineData("status", "", null, "")]
    [InlineData("--client-id|a|--client-secret|b|--token-url|https://h/token|https://h/sse", "--client-id|a|--client-secret|b|--token-endpoint|https://h/token|--client-credentials", "https://h/sse", "")]
    [InlineData("--no-verify-ssl|https://h/sse", "--insecure", "https://h/sse", "")]
    [InlineData("--verify-ssl|ca.pem|https://h/sse", "--ca-file|ca.pem", "https://h/sse", "")]
    [InlineData("--verify-ssl=false|https://h/sse", "--insecure", "https://h/sse", "")]
    [InlineData("--sse-port|8080|--|command|--arg|value", "--port|8080", null, "command|--arg|value")]
    [InlineData("--sse-port=8080|python|mcp_server.py|--port|1", "--port|8080", null, "python|mcp_server.py|--port|1")]
    [InlineData("--port|8080|-e|KEY|VALUE|-e|OTHER=V|--|npx|-y|server", "--port|8080|--env|KEY=VALUE|--env|OTHER=V", null, "npx|-y|server")]
    [InlineData("--port|8080|npx|--|-y|server", "--port|8080", null, "npx|-y|server")]
    [InlineData("--allow-origin|a|b|--|uvx|x", "--allow-origin|a|--allow-origin|b", null, "uvx|x")]
    [InlineData("--allow-origin|a|uvx|x", "--allow-origin|a", null, "uvx|x")]
    [InlineData("--stdio|npx -y 'a b' \"c\\\"d\"|--port|9000|--outputTransport|streamableHttp", "--port|9000", null, "npx|-y|a b|c\"d")]
    [InlineData("--stdio|cmd", "--port|8000", null, "cmd")]
    [InlineData("--sse|https://h/sse", "--transport|sse-only", "https://h/sse", "")]
    [InlineData("--streamableHttp|https://h/mcp|--oauth2Bearer|t", "--transport|http-only|--header|Authorization: Bearer t", "https://h/mcp", "")]
    [InlineData("--sessionTimeout|60000|--|x", "--session-idle-timeout|60", null, "x")]
    [InlineData("--logLevel|none|--|x", "--log-level|none", null, "x")]
    [InlineData("--log-level|WARNING|--|x", "--log-level|warning", null, "x")]
    [InlineData("--port|8080|--shell|tsx|server.js", "--port|8080", null, "/bin/sh|-c|tsx server.js")]
    [InlineData("--|reset", "", null, "reset")]
    [InlineData("--cors|--|x", "--allow-origin|*", null, "x")]
    [InlineData("--apiKey|a=k|--sslCert|c|--ssl-key|k|--sslCa|ca|--|x", "--api-key|a=k|--tls-cert|c|--tls-key|k|--tls-client-ca|ca", null, "x")]
    [InlineData("--port|8080|--no-auth|--sse-host|0.0.0.0|x", "--port|8080|--no-auth|--host|0.0.0.0", null, "x")]
    [InlineData("--server|stream|--|tsx|server.ts", "", null, "tsx|server.ts")]
    public void Command_lines_of_ours_and_of_the_peers_mean_what_they_say(string line, string options, string? url, string command)
    {
        var normalized = NormalizedCommandLine.Of(line.Split('|'));
        string.Join('|', normalized.Options).ShouldBe(options);
        normalized.Url.ShouldBe(url);
        string.Join('|', normalized.Command ?? []).ShouldBe(command);
    }

    [Theory]
    [InlineData("--prot|8080|--|x", "did you mean --port?")]
    [InlineData("--heders|K|V|https://h", "did you mean --headers?")]
    [InlineData("--no-such-thing-at-all|https://h", "unknown option")]
    [InlineData("--tunnel|--|x", "third party")]
    [InlineData("reset|https://h/mcp", "-- reset")]
    [InlineData("login", "takes the URL")]
    [InlineData("login|--|server", "takes the URL")]
    [InlineData("status|--|server", "takes no server")]
    [InlineData("--port", "needs a value")]
    [InlineData("-H|K", "two values")]
    [InlineData("--debug=7|--|x", "takes no value")]
    [InlineData("https://a|https://b", "one server at a time")]
    [InlineData("https://a|command", "means nothing")]
    [InlineData("https://a|--|command", "one server at a time")]
    [InlineData("--", "no command")]
    [InlineData("--stdio|npx 'x", "quote is not closed")]
    public void What_is_wrong_is_said(string line, string message) =>
        Should.Throw<UsageException>(() => NormalizedCommandLine.Of(line.Split('|'))).Message.ShouldContain(message);

    [Fact]
    public void An_option_of_ours_behind_the_command_is_noticed()
    {
        NormalizedCommandLine.Of(["npx", "server", "--port", "8080"]).Misplaced.ShouldBe("--port");
        NormalizedCommandLine.Of(["--", "npx", "server", "--port", "8080"]).Misplaced.ShouldBeNull();
    }

    [Fact]
    public void Every_spelling_leads_to_an_option_that_exists()
    {
        var command = new ProxyCommand();
        var known = command.Root.Options.SelectMany(option => option.Aliases.Append(option.Name)).ToHashSet(StringComparer.Ordinal);
        foreach (var spelling in OptionTable.Spellings.Values.Where(spelling => spelling.Refusal is null && !spelling.Name.StartsWith("--output", StringComparison.Ordinal)))
        {
            var rewritten = spelling.Rewrite([.. Enumerable.Repeat("1", spelling.Values)]);
            rewritten.Where(word => word.StartsWith("--", StringComparison.Ordinal)).ShouldAllBe(word => known.Contains(word), spelling.Name);
        }
    }
}
