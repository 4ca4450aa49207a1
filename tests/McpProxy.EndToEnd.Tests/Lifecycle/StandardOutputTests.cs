using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>What goes out on standard output: every message, unchanged, and nothing else.</summary>
public sealed class StandardOutputTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Fact]
    public async Task Has_protocol_messages_only_in_front_of_a_command()
    {
        var proxy = Own(Proxy.Start(["--debug", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));

        await ExchangeAsync(proxy);
    }

    [Theory]
    [InlineData(Transport.Sse)]
    [InlineData(Transport.StreamableHttp)]
    public async Task Has_protocol_messages_only_in_front_of_a_url(Transport upstream)
    {
        var server = Own(await TestServer.StartAsync(Era.Legacy));
        var proxy = Own(Proxy.Start(["--debug", server.At(upstream).AbsoluteUri]));

        await ExchangeAsync(proxy);
    }

    [Fact]
    public async Task Has_protocol_messages_only_in_front_of_a_noisy_command()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a POSIX shell");
        var proxy = Own(Proxy.Start(
            ["--debug", .. Proxy.ChildOptions, "--", "sh", "-c", "echo 'Server is starting...'; echo; echo '{\"level\":\"info\"}'; echo '[1, 2'; exec \"$@\"", "sh", .. TestServer.Command(Era.Legacy)]));

        await ExchangeAsync(proxy);

        proxy.Errors.Lines.ShouldContain(line => line.Contains("Server is starting...", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Flood_on_the_childs_standard_error_stops_nothing()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a POSIX shell");
        var proxy = Own(Proxy.Start(
            [.. Proxy.ChildOptions, "--", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; yes | head -n 100000 >&2; exec \"$@\"", "sh", .. TestServer.Command(Era.Legacy)]));

        await ExchangeAsync(proxy);
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","method":"x/y","params":{"text":"é 漢 😀 \u2028\u00e9 </script>","n":1.0,"big":123456789012345678901234567890,"e":1E400}}""")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"method\":\"x/y\",\"params\":{\"text\":\"raw \u2028 \u2029 \ufeff\"}}")]
    [InlineData("""{ "params" : { "a" : 1, "a" : 2, "b" : null } , "unknown" : [ ] , "method" : "x/y", "jsonrpc" : "2.0" }""")]
    public async Task Message_passes_unchanged(string message)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs cat");
        var proxy = Own(Proxy.Start(["--", "cat"]));

        await proxy.SendAsync(message);

        (await proxy.Output.FirstAsync("the message", _ => true)).ShouldBe(message);
    }

    private static async Task ExchangeAsync(Proxy proxy)
    {
        await proxy.SendAsync(Messages.Initialize(1));
        (await proxy.AnswerAsync(1))["result"].ShouldNotBeNull();
        await proxy.SendAsync(
            Messages.Initialized, """{"jsonrpc":"2.0","id":2,"method":"tools/list"}""", Messages.Call(3, "echo", new { text = "x" }), "this is no message", Messages.Call(4, "fail"));
        await proxy.AnswerAsync(2);
        await proxy.AnswerAsync(3);
        await proxy.AnswerAsync(4);
        proxy.Input.Close();

        (await proxy.ExitAsync()).ShouldBe(0);
        foreach (var line in proxy.Output.Lines)
        {
            JsonNode.Parse(line)!["jsonrpc"]!.GetValue<string>().ShouldBe("2.0", line);
        }
    }
}
