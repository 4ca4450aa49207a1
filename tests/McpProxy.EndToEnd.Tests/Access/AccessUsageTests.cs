using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Access;

/// <summary>Who may come in has to be said in a way that cannot be misunderstood: exit code 2, and one line that says what to do.</summary>
public sealed class AccessUsageTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private const string Url = "http://127.0.0.1:9/mcp";
    private const string Issuer = "http://127.0.0.1:9";

    public static TheoryData<string[], string> Lines => new()
    {
        // Everybody's address is not served to everybody by accident.
        { ["--port", "0", "--host", "0.0.0.0", "--", "cat"], "--api-key, --basic-auth, --auth-issuer or --tls-client-ca" },
        { ["--port", "0", "--host", "0.0.0.0", "--", "cat"], "--no-auth" },
        { ["--port", "0", "--host", "0.0.0.0", Url], "--no-auth" },
        { ["--port", "0", "--host", "::", "--", "cat"], "--host ::" },
        { ["--port", "0", "--host", "[::]", "--", "cat"], "--host [::]" },
        { ["--port", "0", "--host", "*", "--", "cat"], "--host *" },
        { ["--port", "0", "--host", "printer.lan", "--", "cat"], "--host printer.lan" },
        { ["--port", "0", "--sse-host", "10.1.2.3", "--", "cat"], "--host 10.1.2.3" },
        { ["--port", "0", "--host", "0.0.0.0", "--tls-cert", "/no/such", "--", "cat"], "--no-auth" },

        { ["--port", "0", "--no-auth", "--api-key", "x", "--", "cat"], "exclude each other" },
        { ["--port", "0", "--no-auth", "--auth-issuer", Issuer, "--auth-audience", "x", "--", "cat"], "exclude each other" },
        { ["--port", "0", "--no-auth", "--basic-auth", "a:b", Url], "exclude each other" },
        { ["--api-key", "x", "--", "cat"], "--api-key needs --port" },
        { ["--auth-issuer", Issuer, Url], "--auth-issuer needs --port" },
        { ["--tls-cert", "x", Url], "--tls-cert needs --port" },

        { ["--port", "0", "--api-key", "", "--", "cat"], "--api-key: the key is empty" },
        { ["--port", "0", "--api-key", " ", "--", "cat"], "no header can carry" },
        { ["--port", "0", "--api-key", "a b", "--", "cat"], "no header can carry" },
        { ["--port", "0", "--api-key", "${MCP_PROXY_TEST_UNSET}", "--", "cat"], "MCP_PROXY_TEST_UNSET" },
        { ["--port", "0", "--api-key-file", "/no/such/file", "--", "cat"], "--api-key-file cannot be read" },
        { ["--port", "0", "--api-key-file", "/dev/null", "--", "cat"], "there is nothing in" },
        { ["--port", "0", "--basic-auth", "ann", "--", "cat"], "USER:PASSWORD" },
        { ["--port", "0", "--basic-auth", "ann:", "--", "cat"], "is empty" },

        { ["--port", "0", "--auth-issuer", Issuer, "--", "cat"], "--base-url" },
        { ["--port", "0", "--auth-issuer", Issuer, "--base-url", "/prefix", "--", "cat"], "--auth-audience" },
        { ["--port", "0", "--auth-issuer", "http://as.example", "--auth-audience", "x", "--", "cat"], "https" },
        { ["--port", "0", "--auth-audience", "x", "--", "cat"], "--auth-issuer" },
        { ["--port", "0", "--auth-scope", "x", "--api-key", "k", "--", "cat"], "--auth-issuer" },
        { ["--port", "0", "--auth-issuer", Issuer, "--auth-audience", "x", "--auth-scope", "a\"b", "--", "cat"], "is no scope" },

        { ["--port", "0", "--tls-cert", "/no/such/file", "--", "cat"], "/no/such/file" },
        { ["--port", "0", "--tls-cert", "/dev/null", "--", "cat"], "no certificate in" },
        { ["--port", "0", "--tls-key", "x", "--", "cat"], "--tls-key needs --tls-cert" },
        { ["--port", "0", "--sslKey", "x", "--", "cat"], "--tls-cert" },
        { ["--port", "0", "--tls-client-ca", "x", "--", "cat"], "--tls-client-ca needs --tls-cert" },
    };

    [Theory]
    [MemberData(nameof(Lines))]
    public async Task Is_explained(string[] words, string explanation)
    {
        var proxy = Own(Proxy.Start(words));

        (await proxy.ExitAsync()).ShouldBe(2);

        proxy.Errors.Lines.ShouldHaveSingleItem().ShouldContain(explanation);
        proxy.Output.Lines.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    public async Task A_variable_that_lost_its_key_does_not_open_the_door(string value)
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--", "cat"], new Dictionary<string, string?>(StringComparer.Ordinal) { ["MCP_PROXY_API_KEY"] = value }));

        (await proxy.ExitAsync()).ShouldBe(2);

        proxy.Errors.Lines.ShouldHaveSingleItem().ShouldContain("MCP_PROXY_API_KEY: the key is empty");
    }

    [Theory]
    [InlineData("--api-key", "hunter two")]
    [InlineData("--basic-auth", "hunter")]
    [InlineData("--basic-auth", "ann:hun\u0001ter")]
    public async Task A_secret_that_cannot_be_used_is_not_shown(string option, string secret)
    {
        var proxy = Own(Proxy.Start(["--port", "0", option, secret, "--", "cat"]));

        (await proxy.ExitAsync()).ShouldBe(2);

        proxy.Errors.ToString().ShouldNotContain("hun");
    }
}
