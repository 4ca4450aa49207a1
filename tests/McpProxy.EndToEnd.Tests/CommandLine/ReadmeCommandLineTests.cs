using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>Command lines as they stand in the pages of the programs that people come from: pasted here, they must work.</summary>
public sealed class ReadmeCommandLineTests(ITestOutputHelper output, FakeCommands commands) : EndToEndTest(output), IClassFixture<FakeCommands>
{
    /// <summary>What makes a client's program reach a server behind a URL.</summary>
    public static TheoryData<string> UrlsOnStdio =>
    [
        // stephenlacy/mcp-proxy
        "mcp-proxy http://localhost:9090/mcp/instances_abc123",
        "mcp-proxy http://localhost:8080/sse",
        "mcp-proxy --transport sse http://localhost:8080/events",
        "mcp-proxy --transport streamable-http http://localhost:9090/api",
        "mcp-proxy -H Authorization 'Bearer token' http://localhost:9090/api",

        // sparfenyuk/mcp-proxy
        "mcp-proxy http://example.io/sse",
        "mcp-proxy --headers Authorization 'Bearer my-secret-access-token' http://example.io/sse",
        "mcp-proxy http://example.io/sse --headers Authorization 'Bearer my-secret-access-token'",
        "mcp-proxy --transport=streamablehttp http://example.io/mcp",
        "mcp-proxy --no-debug --log-level WARNING http://example.io/sse",
        "mcp-proxy --client-id CLIENT_ID --client-secret CLIENT_SECRET --token-url https://auth.example.com/oauth/token http://example.io/sse",
        "mcp-proxy --no-verify-ssl https://example.io/sse",

        // mcp-remote
        "mcp-remote https://remote.mcp.server/sse",
        "mcp-remote https://remote.mcp.server/sse --header 'Authorization: Bearer ${AUTH_TOKEN}'",
        "mcp-remote https://remote.mcp.server/sse --header 'Authorization:${AUTH_HEADER}'",
        "mcp-remote https://remote.mcp.server/sse 9696",
        "mcp-remote https://remote.mcp.server/sse --host 127.0.0.1",
        "mcp-remote http://internal-service.vpc/sse --allow-http",
        "mcp-remote https://remote.mcp.server/sse --debug",
        "mcp-remote https://remote.mcp.server/sse --silent",
        "mcp-remote https://remote.mcp.server/sse --enable-proxy",
        "mcp-remote https://example.remote/server --transport sse-only",
        "mcp-remote https://example.remote/server --transport http-first",
        "mcp-remote https://remote.mcp.server/sse --static-oauth-client-metadata '{ \"scope\": \"space separated scopes\" }'",
        "mcp-remote https://remote.mcp.server/sse --static-oauth-client-info '{ \"client_id\": \"x\", \"client_secret\": \"y\" }'",
        "mcp-remote https://mcp.atlassian.com/v1/sse --resource https://tenant1.atlassian.net/",
        "mcp-remote https://remote.mcp.server/sse --disable-resource-parameter --auth-timeout 60",
        "mcp-remote https://remote.mcp.server/sse --device-code --callback-path /callback --authorize-param audience=api",

        // supergateway
        "supergateway --sse https://mcp-server-ab71a6b2.supermachine.app",
        "supergateway --sse https://mcp-server-ab71a6b2.supermachine.app --oauth2Bearer some-access-token --header 'X-My-Header: another-header-value'",
        "supergateway --streamableHttp https://mcp-server.example.com/mcp",
        "supergateway --streamableHttp https://mcp-server.example.com/mcp --oauth2Bearer some-access-token --header 'X-My-Header: another-header-value' --logLevel none",
    ];

    /// <summary>What serves a command on standard input and output, and what the command gets to see.</summary>
    public static TheoryData<string, string> CommandsOnStdio => new()
    {
        { "mcp-proxy uvx mcp-server-fetch", "uvx mcp-server-fetch" },
        { "mcp-proxy -- npx -y @modelcontextprotocol/server-everything", "npx -y @modelcontextprotocol/server-everything" },
        { "supergateway --stdio 'npx -y @modelcontextprotocol/server-filesystem ./my-folder' --outputTransport stdio", "npx -y @modelcontextprotocol/server-filesystem ./my-folder" },
    };

    /// <summary>What serves a command over HTTP, and what the command gets to see.</summary>
    public static TheoryData<string, string> CommandsOnHttp => new()
    {
        // stephenlacy/mcp-proxy
        { "mcp-proxy --port 8080 -- your-command --arg1 value1 --arg2 value2", "your-command --arg1 value1 --arg2 value2" },
        { "mcp-proxy --port 8080 python mcp_server.py", "python mcp_server.py" },
        { "mcp-proxy --port 8080 -- npx -y @modelcontextprotocol/server-everything", "npx -y @modelcontextprotocol/server-everything" },
        { "mcp-proxy --port 9090 --transport streamable-http -- python mcp_server.py", "python mcp_server.py" },
        { "mcp-proxy --port 8080 -e KEY VALUE -e ANOTHER_KEY ANOTHER_VALUE -- your-command", "your-command" },

        // sparfenyuk/mcp-proxy
        { "mcp-proxy --sse-port=8080 uvx mcp-server-fetch", "uvx mcp-server-fetch" },
        { "mcp-proxy --port=8080 uvx mcp-server-fetch", "uvx mcp-server-fetch" },
        // As on their page but for --no-auth: without it, other machines' addresses are not served to everybody.
        { "mcp-proxy --host=0.0.0.0 --port=8080 --no-auth uvx mcp-server-fetch", "uvx mcp-server-fetch" },
        { "mcp-proxy --sse-host=0.0.0.0 --sse-port=8080 --no-auth uvx mcp-server-fetch", "uvx mcp-server-fetch" },
        { "mcp-proxy --port=8080 -- uvx mcp-server-fetch --user-agent=YourUserAgent", "uvx mcp-server-fetch --user-agent=YourUserAgent" },
        { "mcp-proxy --port=8080 uvx -- mcp-server-fetch --user-agent=YourUserAgent", "uvx mcp-server-fetch --user-agent=YourUserAgent" },
        { "mcp-proxy --pass-environment --port=8096 --sse-host 0.0.0.0 --no-auth uvx mcp-server-fetch", "uvx mcp-server-fetch" },
        { "mcp-proxy --port=8080 --allow-origin '*' --no-stateless --no-pass-environment -- uvx mcp-server-fetch", "uvx mcp-server-fetch" },
        { "mcp-proxy --port=8080 --cwd /tmp --env FOO BAR -- uvx mcp-server-fetch", "uvx mcp-server-fetch" },

        { "mcp-proxy --port=8080 --stateless uvx mcp-server-fetch", "uvx mcp-server-fetch" },

        // supergateway
        { "supergateway --stdio 'npx -y @modelcontextprotocol/server-filesystem ./my-folder' --port 8000 --baseUrl http://localhost:8000 --ssePath /sse --messagePath /message", "npx -y @modelcontextprotocol/server-filesystem ./my-folder" },
        { "supergateway --stdio 'npx -y @modelcontextprotocol/server-filesystem ./my-folder' --outputTransport streamableHttp --port 8000", "npx -y @modelcontextprotocol/server-filesystem ./my-folder" },
        { "supergateway --stdio 'npx -y @modelcontextprotocol/server-filesystem ./my-folder' --outputTransport streamableHttp --stateful --sessionTimeout 60000 --port 8000", "npx -y @modelcontextprotocol/server-filesystem ./my-folder" },
        { "supergateway --port 8000 --stdio 'npx -y @modelcontextprotocol/server-filesystem .'", "npx -y @modelcontextprotocol/server-filesystem ." },
        { "supergateway --stdio 'uvx mcp-server-git' --port 8000 --cors --healthEndpoint /healthz --logLevel debug", "uvx mcp-server-git" },
        { "supergateway --stdio 'uvx mcp-server-git' --port 8000 --cors http://example.com --streamableHttpPath /other", "uvx mcp-server-git" },
        { "supergateway --stdio 'deno run -A jsr:@omedia/mcp-server-drupal --drupal-url https://your-drupal-server.com' --port 8000", "deno run -A jsr:@omedia/mcp-server-drupal --drupal-url https://your-drupal-server.com" },

        // punkpeye/mcp-proxy
        { "mcp-proxy --port 8080 --endpoint /sse tsx server.js", "tsx server.js" },
        { "mcp-proxy --port 8080 --shell tsx server.js", "tsx server.js" },
        { "mcp-proxy --port 8080 --server stream --streamEndpoint /other --debug -- tsx server.js --watch", "tsx server.js --watch" },
        { "mcp-proxy --port 8080 --connectionTimeout 60000 --gracefulShutdownTimeout 5000 --eventStore --eventStoreMaxEvents 1000 --maxBodySize 10485760 tsx server.js", "tsx server.js" },
        { "mcp-proxy --port 8080 --requestTimeout 60000 --stateless tsx server.js", "tsx server.js" },
    };

    public override ValueTask InitializeAsync()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the stand-ins for the commands are shell scripts");
        return ValueTask.CompletedTask;
    }

    [Theory]
    [MemberData(nameof(UrlsOnStdio))]
    public async Task Url_on_stdio(string line)
    {
        var proxy = Start(line);

        proxy.Input.Close();

        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Theory]
    [MemberData(nameof(CommandsOnStdio))]
    public async Task Command_on_stdio(string line, string command)
    {
        var proxy = Start(line);

        await StartedAsync(proxy, command);
        proxy.Input.Close();

        (await proxy.ExitAsync()).ShouldBe(0);
    }

    [Theory]
    [MemberData(nameof(CommandsOnHttp))]
    public async Task Command_on_http(string line, string command)
    {
        var proxy = Start(line);
        var url = await proxy.ListeningAsync(Transport.StreamableHttp);
        using var http = new RawHttp(new UriBuilder(url) { Host = "127.0.0.1" }.Uri);

        // A session starts the command; the stand-in does not answer.
        var unanswered = http.PostAsync(Messages.Initialize(1));
        await StartedAsync(proxy, command);
        proxy.Terminate();

        (await proxy.ExitAsync()).ShouldBe(0);
        await unanswered.Within("the end of the request in flight");
    }

    private static Task<string> StartedAsync(Proxy proxy, string command) =>
        proxy.Errors.FirstAsync($"the start of \"{command}\"", line => line.EndsWith($"started: {command}", StringComparison.Ordinal));

    private static IEnumerable<string> Words(string line)
    {
        // Single quotes are all the quoting that the lines above need.
        var parts = line.Split('\'');
        return parts.SelectMany((part, i) => i % 2 == 1 ? [part] : part.Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    private Proxy Start(string line)
    {
        // The ports of the pages may be in use here; 0 reads the same.
        var words = Words(line).Skip(1).Select(word => word is "8080" or "8000" or "9090" ? "0" : word.Replace("port=8080", "port=0", StringComparison.Ordinal).Replace("port=8096", "port=0", StringComparison.Ordinal));
        return Own(Proxy.Start(words, new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["PATH"] = $"{commands.Folder}:{Environment.GetEnvironmentVariable("PATH")}",
            ["AUTH_TOKEN"] = "secret",
            ["AUTH_HEADER"] = "Bearer secret",
        }));
    }
}
