using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>Headers that the server behind a URL gets, with every request.</summary>
public sealed class UpstreamHeaderTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Fact]
    public async Task Url_and_token_can_come_from_the_environment()
    {
        await using var listener = await RecordingListener.StartAsync();

        await ExchangeAsync(listener, [], new() { ["SSE_URL"] = listener.Url, ["API_ACCESS_TOKEN"] = "access-token" });

        listener.Values("Authorization").ShouldAllBe(value => value == "Bearer access-token");
    }

    [Fact]
    public async Task Secret_is_never_logged()
    {
        await using var listener = await RecordingListener.StartAsync();

        var proxy = await ExchangeAsync(listener, ["--log-level", "trace", "--header", "X-Key: hunter2", $"{listener.Url}?key=hunter3"], new() { ["API_ACCESS_TOKEN"] = "hunter4" });

        proxy.Errors.ToString().ShouldNotContain("hunter");
    }

    [Fact]
    public async Task Header_option_wins_over_the_token_of_the_environment()
    {
        await using var listener = await RecordingListener.StartAsync();

        await ExchangeAsync(listener, ["--header", "authorization: Basic abc", listener.Url], new() { ["API_ACCESS_TOKEN"] = "access-token" });

        listener.Values("Authorization").ShouldAllBe(value => value == "Basic abc");
    }

    [Theory]
    [InlineData("--header", "X-Test: a b: c")]
    [InlineData("--header", "X-Test:a b: c")]
    [InlineData("--header=X-Test: a b: c")]
    [InlineData("-H", "X-Test", "a b: c")]
    [InlineData("--headers", "X-Test", "a b: c")]
    [InlineData("--header", "X-Test: ${MCP_PROXY_TEST_VALUE}")]
    public async Task Header_is_sent(params string[] words)
    {
        await using var listener = await RecordingListener.StartAsync();

        await ExchangeAsync(listener, [.. words, listener.Url], new() { ["MCP_PROXY_TEST_VALUE"] = "a b: c" });

        listener.Values("X-Test").ShouldAllBe(value => value == "a b: c");
    }

    [Fact]
    public async Task Headers_of_a_file_are_sent()
    {
        await using var listener = await RecordingListener.StartAsync();
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "# a comment\n\nX-Test: ${MCP_PROXY_TEST_VALUE}\n", TestContext.Current.CancellationToken);

            await ExchangeAsync(listener, ["--header-file", file, listener.Url], new() { ["MCP_PROXY_TEST_VALUE"] = "from the file" });
        }
        finally
        {
            File.Delete(file);
        }

        listener.Values("X-Test").ShouldAllBe(value => value == "from the file");
    }

    [Fact]
    public async Task Supergateway_spelling_of_a_token_is_sent()
    {
        await using var listener = await RecordingListener.StartAsync();

        await ExchangeAsync(listener, ["--streamableHttp", listener.Url, "--oauth2Bearer", "some-access-token"], []);

        listener.Values("Authorization").ShouldAllBe(value => value == "Bearer some-access-token");
    }

    private async Task<Proxy> ExchangeAsync(RecordingListener listener, string[] words, Dictionary<string, string?> environment)
    {
        var proxy = Own(Proxy.Start(words, environment));
        await proxy.SendAsync(Messages.Initialize(1));
        (await proxy.AnswerAsync(1))["result"].ShouldNotBeNull();
        await proxy.SendAsync(Messages.Initialized, """{"jsonrpc":"2.0","id":2,"method":"tools/list"}""");
        await proxy.AnswerAsync(2);
        await listener.ArrivedAsync("GET");
        proxy.Input.Close();
        (await proxy.ExitAsync()).ShouldBe(0);

        listener.Methods.ShouldBe(["DELETE", "GET", "POST"], ignoreOrder: true, "a whole session was seen");
        return proxy;
    }
}
