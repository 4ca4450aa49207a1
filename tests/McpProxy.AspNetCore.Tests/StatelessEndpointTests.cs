using System.Net;
using McpProxy.JsonRpc;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests;

/// <summary>The server half of Streamable HTTP of 2026-07-28, over real sockets.</summary>
public sealed class StatelessEndpointTests
{
    private const string Meta = "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{}}";

    private const string Tools = """
        "tools":[{"name":"query","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"}}}}]
        """;

    private readonly FakeUpstream _upstream;

    public StatelessEndpointTests() => _upstream = new(() => new FakePeer { Answer = Answer });

    [Theory]
    [InlineData("tools/list", "{}", "tools/list", null, "2026-07-28", -32602)]
    [InlineData("tools/list", "{\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}", "tools/list", null, "2026-07-28", -32602)]
    [InlineData("tools/list", "{" + Meta + "}", "tools/list", null, null, -32020)]
    [InlineData("tools/list", "{" + Meta + "}", "tools/list", null, "2025-11-25", -32020)]
    [InlineData("tools/list", "{" + Meta + "}", "tools/call", null, "2026-07-28", -32020)]
    [InlineData("tools/list", "{" + Meta + "}", null, null, "2026-07-28", -32020)]
    [InlineData("prompts/get", "{\"name\":\"a\"," + Meta + "}", "prompts/get", null, "2026-07-28", -32020)]
    [InlineData("prompts/get", "{\"name\":\"a\"," + Meta + "}", "prompts/get", "A", "2026-07-28", -32020)]
    [InlineData("resources/read", "{\"uri\":\"x:é\"," + Meta + "}", "resources/read", "=?base64?!?=", "2026-07-28", -32020)]
    public async Task Headers_that_do_not_match_the_body_are_refused(string method, string parameters, string? methodHeader, string? name, string? version, int code)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var response = await PostAsync(server, method, parameters, methodHeader, name, version);
        response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await response.TextAsync()).ShouldContain($"\"id\":1,\"error\":{{\"code\":{code}");
        _upstream.Count.ShouldBe(0);
    }

    [Theory]
    [InlineData("prompts/get", "{\"name\":\"caf\u00e9\"," + Meta + "}", "=?base64?Y2Fmw6k=?=")]
    [InlineData("prompts/get", "{\"name\":\"a\"," + Meta + "}", " a ")]
    [InlineData("other/method", "{" + Meta + "}", null)]
    public async Task Headers_that_match_let_the_request_through(string method, string parameters, string? name)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var response = await PostAsync(server, method, parameters, method, name, "2026-07-28");
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("application/json");
        response.Headers.Contains("Mcp-Session-Id").ShouldBeFalse();
        (await response.TextAsync()).ShouldContain("\"id\":1,");
    }

    [Theory]
    [InlineData("{\"region\":\"eu\",\"n\":42}", "eu", "42", HttpStatusCode.OK)]
    [InlineData("{\"region\":\"eu\",\"n\":42}", "eu", "42.0", HttpStatusCode.OK)]
    [InlineData("{\"region\":\"eu\",\"n\":null}", "eu", null, HttpStatusCode.OK)]
    [InlineData("{\"region\":\"eu\"}", "us", null, HttpStatusCode.BadRequest)]
    [InlineData("{\"region\":\"eu\"}", null, null, HttpStatusCode.BadRequest)]
    [InlineData("{}", "eu", null, HttpStatusCode.BadRequest)]
    public async Task Mirrored_parameters_are_compared_even_when_the_tools_were_never_listed(string arguments, string? region, string? n, HttpStatusCode status)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        List<(string, string)> headers = [];
        if (region is not null)
        {
            headers.Add(("Mcp-Param-Region", region));
        }

        if (n is not null)
        {
            headers.Add(("mcp-param-n", n));
        }

        var response = await PostAsync(server, "tools/call", $$"""{"name":"query","arguments":{{arguments}},{{Meta}}}""", "tools/call", "query", "2026-07-28", [.. headers]);
        response.StatusCode.ShouldBe(status);
    }

    [Fact]
    public async Task An_unknown_version_is_refused_with_those_that_the_server_knows()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var response = await PostAsync(server, "tools/list", "{" + Meta.Replace("2026-07-28", "2099-01-01", StringComparison.Ordinal) + "}", "tools/list", null, "2099-01-01");
        response.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await response.TextAsync()).ShouldContain("""
            "data":{"supported":["2026-07-28"],"requested":"2099-01-01"}
            """);
    }

    [Theory]
    [InlineData(-32601, HttpStatusCode.NotFound)]
    [InlineData(-32021, HttpStatusCode.BadRequest)]
    [InlineData(-32603, HttpStatusCode.OK)]
    public async Task The_servers_errors_get_the_status_that_the_specification_says(int code, HttpStatusCode status)
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var response = await PostAsync(server, $"fail/{code}", "{" + Meta + "}", $"fail/{code}", null, "2026-07-28");
        response.StatusCode.ShouldBe(status);
        (await response.TextAsync()).ShouldContain(code.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task Closing_the_stream_cancels_the_request()
    {
        await using var server = await TestServer.StartAsync(_upstream);
        var posting = PostAsync(server, "subscriptions/listen", "{" + Meta + "}", "subscriptions/listen", null, "2026-07-28");
        var peer = await _upstream.NextAsync();
        var listen = await peer.NextJsonAsync();
        JsonRpcMessage.TryParse(System.Text.Encoding.UTF8.GetBytes(listen), out var message, out _).ShouldBeTrue();
        await peer.SayAsync($$$$"""{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":{{{{message.Id}}}}}}}""");
        using (var response = await posting)
        {
            await using var events = response.EventsAsync().GetAsyncEnumerator(TestContext.Current.CancellationToken);
            (await events.NextAsync()).Data.ShouldContain("\"io.modelcontextprotocol/subscriptionId\":1}");
        }

        (await peer.NextJsonAsync()).ShouldContain($"\"requestId\":{message.Id}");
    }

    [Fact]
    public async Task Shutting_down_ends_a_subscription_with_its_closing_result()
    {
        var server = await TestServer.StartAsync(_upstream);
        var posting = PostAsync(server, "subscriptions/listen", "{" + Meta + "}", "subscriptions/listen", null, "2026-07-28");
        await (await _upstream.NextAsync()).NextJsonAsync();
        await server.DisposeWithoutClientAsync();
        (await (await posting).TextAsync()).ShouldContain("\"resultType\":\"complete\"");
        await server.DisposeAsync();
    }

    private static Task<HttpResponseMessage> PostAsync(
        TestServer server, string method, string parameters, string? methodHeader, string? name, string? version, params (string Name, string Value)[] more)
    {
        List<(string, string)> headers = [.. more];
        Add("Mcp-Method", methodHeader);
        Add("Mcp-Name", name);
        Add("MCP-Protocol-Version", version);
        return server.Client.PostAsync("/mcp", $$"""{"jsonrpc":"2.0","id":1,"method":"{{method}}","params":{{parameters}}}""", headers: [.. headers]);

        void Add(string header, string? value)
        {
            if (value is not null)
            {
                headers.Add((header, value));
            }
        }
    }

    private static string? Answer(JsonRpcMessage message)
    {
        var method = System.Text.Encoding.UTF8.GetString(message.Method);
        return method switch
        {
            "subscriptions/listen" => null,
            "notifications/cancelled" => null,
            "tools/list" => $$"""{"jsonrpc":"2.0","id":{{message.Id}},"result":{""" + Tools + "}}",
            "server/discover" => $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"result":{"supportedVersions":["2026-07-28"]}}""",
            ['f', 'a', 'i', 'l', '/', .. var code] => $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"error":{"code":{{{code}}},"message":"x"}}""",
            _ => $$$"""{"jsonrpc":"2.0","id":{{{message.Id}}},"result":{}}""",
        };
    }
}
