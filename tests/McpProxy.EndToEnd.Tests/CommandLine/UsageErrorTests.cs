using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>Command lines that cannot work: exit code 2, and one line that says what to do.</summary>
public sealed class UsageErrorTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private const string Url = "http://127.0.0.1:9/mcp";

    public static TheoryData<string[], string> Lines => new()
    {
        // Mistyped options suggest the nearest.
        { ["--prot", "8080", "--", "cat"], "--port" },
        { ["--hots", "127.0.0.1", Url], "--host" },
        { ["--pass-enviroment", "--", "cat"], "--pass-environment" },
        { ["--transprot=sse", Url], "--transport" },
        { ["--no-such-option-at-all", Url], "unknown option --no-such-option-at-all" },

        // Refused options say why.
        { ["--port", "0", "--tunnel", "--", "cat"], "third party" },
        { ["--port", "0", "--tunnelSubdomain", "x", "--", "cat"], "--tunnelSubdomain is refused" },
        { ["--stdio", "cat", "--outputTransport", "ws"], "WebSocket" },
        { ["-http-headers", "K1:V1", Url], "--header" },
        { ["--disable-cookies", Url], "--disable-cookies is refused" },

        // What is missing is named.
        { ["--header", "Authorization: Bearer ${MCP_PROXY_TEST_UNSET}", Url], "MCP_PROXY_TEST_UNSET" },
        { ["--header-file", "/no/such/file", Url], "--header-file" },
        { [], "nothing to connect to" },
        { ["--"], "no command" },
        { ["--port"], "--port needs a value" },
        { ["-e", "KEY"], "takes two values" },

        { [Url, "--static-oauth-client-info", "{}"], "client_id" },
        { [Url, "--client-secret", "x"], "--client-id" },
        { [Url, "--client-key", "/no/such/file", "--client-id", "x"], "--client-key" },
        { [Url, "--client-credentials"], "--client-id" },
        { [Url, "--idp-issuer", "http://127.0.0.1:9", "--client-id", "x"], "--idp-client-id" },
        { ["login"], "takes the URL" },

        // What does not go together, or does not exist.
        { [Url, "--device-code", "--client-credentials", "--client-id", "x"], "exclude each other" },
        { [Url, "--token-endpoint", Url], "--client-credentials" },
        { [Url, "--device-code", "--header", "Authorization: Bearer x"], "Authorization header" },
        { [Url, "--authorize-param", "state=x"], "--authorize-param" },
        { [Url, "--client-metadata-url", "http://example.com/x"], "https" },
        { [Url, "--resource", "no-uri"], "--resource" },
        { [Url, "--static-oauth-client-info", "no json"], "JSON" },
        { [Url, "--callback-port", "0"], "--callback-port" },
        { [Url, "--callback-port", "6000"], "that browsers open" },
        { [Url, "6000"], "that browsers open" },
        { [Url, "--ca-file", "/no/such/file"], "/no/such/file" },
        { ["reset", Url], "takes no server" },
        { [Url, "http://127.0.0.1:9/other"], "two URLs" },
        { [Url, "--", "cat"], "a URL and a command" },
        { ["--port", "70000", "--", "cat"], "70000" },
        { ["--port", "eighty", "--", "cat"], "eighty" },
        { ["--transport", "websocket", Url], "websocket" },
        { ["--log-level", "loud", Url], "loud" },
        { ["--bridge", "maybe", Url], "maybe" },
        { ["--protocol", "newest", Url], "newest" },
        { ["--bridge", "off", "--upstream-protocol", "legacy", Url], "mean nothing" },
        { ["--connect-timeout", "-1", Url], "--connect-timeout" },
        { ["--header", "no colon", Url], "Name: value" },
        { ["--header", "X: a", "--", "cat"], "--header is for a URL" },
        { ["--env", "A=B", Url], "--env" },
        { ["--path", "mcp", "--port", "0", "--", "cat"], "--path" },
        { ["http://user:secret@127.0.0.1:9/mcp"], "user name or password" },
        { ["--stdio", "sh -c 'unclosed"], "quote" },

        // How sessions and children belong together.
        { ["--child", "shared", "--", "cat"], "--child is for serving HTTP: it needs --port" },
        { ["--stateless", "--", "cat"], "--stateless is for serving HTTP: it needs --port" },
        { ["--warm", "1", "--", "cat"], "--warm is for serving HTTP: it needs --port" },
        { ["--exit-with-child", "--", "cat"], "--exit-with-child is for serving HTTP: it needs --port" },
        { ["--port", "0", "--child", "shared", Url], "--child is for a command" },
        { ["--port", "0", "--warm", "1", Url], "--warm is for a command" },
        { ["--port", "0", "--header-to-env", "A=B", Url], "--header-to-env is for a command" },
        { ["--port", "0", "--stateless", "--child", "shared", "--", "cat"], "give one of them" },
        { ["--port", "0", "--child", "several", "--", "cat"], "several" },
        { ["--port", "0", "--warm", "many", "--", "cat"], "--warm" },
        { ["--port", "0", "--warm", "-1", "--", "cat"], "--warm" },
        { ["--port", "0", "--stateless", "--stateless-servers", "0", "--", "cat"], "--stateless-servers" },
        { ["--port", "0", "--header-to-env", "X-User", "--", "cat"], "--header-to-env takes HEADER=NAME" },
        { ["--port", "0", "--header-to-env", "=USER", "--", "cat"], "--header-to-env takes HEADER=NAME" },
        { ["--port", "0", "--header-to-env", "X-User=", "--", "cat"], "--header-to-env takes HEADER=NAME" },
        { ["--port", "0", "--header-to-env", "X User=USER", "--", "cat"], "--header-to-env takes HEADER=NAME" },
        { ["--port", "0", "--header-to-env", "X-User=A=B", "--", "cat"], "--header-to-env takes HEADER=NAME" },
        { ["--port", "0", "--header-to-env", "X-User=A", "--header-to-env", "x-user=B", "--", "cat"], "twice" },
        { ["--port", "0", "--header-to-env", "X-User=A", "--header-to-env", "X-Other=A", "--", "cat"], "twice" },
        { ["--request-timeout-max", "5", "--", "cat"], "needs --request-timeout" },
        { ["--request-timeout", "10", "--request-timeout-max", "5", "--", "cat"], "must not be shorter" },
        { ["--request-timeout", "-1", "--", "cat"], "--request-timeout" },
    };

    /// <summary>What other programs can do and this one cannot yet. A line that comes to work belongs to <see cref="ReadmeCommandLineTests"/> then.</summary>
    public static TheoryData<string[], string> NotYet => new()
    {
        { [Url, "--ignore-tool", "delete*"], "--ignore-tool is refused" },
        { ["--port", "0", "--named-server", "fetch", "uvx mcp-server-fetch"], "one server" },
        { ["--port", "0", "--named-server-config", "./servers.json"], "one server" },
    };

    [Theory]
    [MemberData(nameof(Lines))]
    [MemberData(nameof(NotYet))]
    public async Task Is_explained(string[] words, string explanation)
    {
        var proxy = Own(Proxy.Start(words));

        (await proxy.ExitAsync()).ShouldBe(2);

        proxy.Errors.Lines.ShouldHaveSingleItem().ShouldContain(explanation);
        proxy.Output.Lines.ShouldBeEmpty();
    }

    [Fact]
    public async Task Never_shows_a_secret()
    {
        var proxy = Own(Proxy.Start(["http://user:hunter2@127.0.0.1:9/mcp"]));

        (await proxy.ExitAsync()).ShouldBe(2);

        proxy.Errors.ToString().ShouldNotContain("hunter2");
    }
}
