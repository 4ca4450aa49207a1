using System.Net;
using System.Text.Json.Nodes;
using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Upstreams;

/// <summary>Headers of the client that become variables of its server (<c>--header-to-env</c>), with real children.</summary>
public sealed class HeaderEnvironmentTests : IAsyncLifetime
{
    /// <summary>A server that answers everything with who it is, and will not run for nobody.</summary>
    private const string Script = """
        [ -n "$USER_ID" ] || { echo "nobody" >&2; exit 3; }
        while read -r line; do
          id=$(printf '%s' "$line" | sed -n 's/.*"id":\([^,}]*\).*/\1/p')
          [ -z "$id" ] || printf '{"jsonrpc":"2.0","id":%s,"result":{"user":"%s","process":%s,"tools":[]}}\n' "$id" "$USER_ID" $$
        done
        """;

    private const string Modern = """
        {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}
        """;

    private static readonly (string, string)[] s_modernHeaders = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "x")];

    private TestServer _server = null!;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the server is a shell script");
        var upstream = new StdioUpstream(new() { Command = "sh", Arguments = ["-c", Script] });
        _server = await TestServer.StartAsync(upstream, new() { HeaderEnvironment = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase) { ["X-User-Id"] = "USER_ID" } });
    }

    public ValueTask DisposeAsync() => _server is null ? ValueTask.CompletedTask : _server.DisposeAsync();

    [Fact]
    public async Task Sessions_with_different_values_have_different_servers()
    {
        var (alice, bob) = (await OpenAsync("alice"), await OpenAsync("bob"));
        alice["user"]!.GetValue<string>().ShouldBe("alice");
        bob["user"]!.GetValue<string>().ShouldBe("bob");
        bob["process"]!.GetValue<int>().ShouldNotBe(alice["process"]!.GetValue<int>());
    }

    [Fact]
    public async Task Readiness_does_not_ask_a_server_that_needs_what_clients_bring_along()
    {
        var options = new McpEndpointOptions { HeaderEnvironment = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase) { ["X-User-Id"] = "USER_ID" } };
        await using var good = new McpEndpoint(new StdioUpstream(new() { Command = "sh", Arguments = ["-c", Script] }), options);
        (await good.UnreadinessAsync(TestContext.Current.CancellationToken)).ShouldBeNull();
        await using var bad = new McpEndpoint(new StdioUpstream(new() { Command = "no-such-program" }), options);
        (await bad.UnreadinessAsync(TestContext.Current.CancellationToken)).ShouldNotBeNull().ShouldContain("no-such-program");
    }

    [Fact]
    public async Task Modern_requests_reach_the_server_of_their_own_user_only()
    {
        var (alice, bob, again) = (await CallAsync("alice"), await CallAsync("bob"), await CallAsync("alice"));
        alice["user"]!.GetValue<string>().ShouldBe("alice");
        bob["user"]!.GetValue<string>().ShouldBe("bob");
        again["process"]!.GetValue<int>().ShouldBe(alice["process"]!.GetValue<int>(), "one user's modern requests share one server");

        // A call is checked against the tools of its own server: the one for nobody would not even run.
        async Task<JsonNode> CallAsync(string user)
        {
            using var response = await _server.Client.PostAsync("/mcp", Modern, headers: [.. s_modernHeaders, ("X-User-Id", user)]);
            return JsonNode.Parse(await response.TextAsync())!["result"]!;
        }
    }

    [Fact]
    public async Task A_client_without_the_header_hears_what_its_server_says_to_that()
    {
        using var response = await _server.Client.PostAsync("/mcp", Http.Initialize);
        (await response.TextAsync()).ShouldContain("exited with code 3; its last output: nobody");
    }

    [Theory]
    [InlineData(Http.Initialize)]
    [InlineData(Modern)]
    public async Task A_header_given_twice_is_refused(string message)
    {
        (string, string)[] headers = [("X-User-Id", "alice"), ("X-User-Id", "bob"), .. message == Modern ? s_modernHeaders : []];
        using var client = new RawClient(_server.Url);
        var answer = await client.PostAsync("/mcp", message, headers);
        answer.ShouldStartWith("HTTP/1.1 400 ");
        answer.ShouldContain("X-User-Id must be given once");
        _server.SessionCount.ShouldBe(0);
    }

    private async Task<JsonNode> OpenAsync(string user)
    {
        using var response = await _server.Client.PostAsync("/mcp", Http.Initialize, headers: ("X-User-Id", user));
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        return JsonNode.Parse(await response.TextAsync())!["result"]!;
    }
}
