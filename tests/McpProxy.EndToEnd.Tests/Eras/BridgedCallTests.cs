using System.Globalization;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>What a client of one era gets of a server of the other: introduction, requests and their answers.</summary>
public sealed class BridgedCallTests(ITestOutputHelper output, BridgedCells cells) : BridgedTest(output, cells), IClassFixture<BridgedCells>
{
    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Server_introduces_itself(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        client.Sdk.ServerInfo.ShouldNotBeNull().Name.ShouldBe("mcp-test-server");
        client.Sdk.ServerInfo.Version.ShouldBe("1.2.3");
        client.Sdk.ServerInstructions.ShouldBe("A peer for tests. Ünïcode ✓");
        client.Sdk.NegotiatedProtocolVersion.ShouldBe(TestClient.VersionOf(era));
        client.Sdk.ServerCapabilities.Tools.ShouldNotBeNull().ListChanged.ShouldBe(true);
        client.Sdk.ServerCapabilities.Resources.ShouldNotBeNull().Subscribe.ShouldBe(true);
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Tools_prompts_and_resources_are_listed(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        (await client.Sdk.ListToolsAsync().Within("tools/list")).Select(tool => tool.Name).ShouldContain("echo");
        (await client.Sdk.ListPromptsAsync().Within("prompts/list")).ShouldNotBeEmpty();
        (await client.Sdk.ListResourceTemplatesAsync().Within("resources/templates/list")).Count.ShouldBeGreaterThanOrEqualTo(0);
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Call_is_answered(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        (await client.TextAsync("echo", new { text = "hello" })).ShouldBe("hello");
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Failing_tool_and_errors_keep_what_they_say(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        var result = await client.CallAsync("fail");
        result.IsError.ShouldBe(true);
        result.Content.OfType<TextContentBlock>().Single().Text.ShouldContain("deliberate");

        var error = await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("protocol_error"));
        ((int)error.ErrorCode).ShouldBe(-32050);

        (await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("no_such_tool"))).ErrorCode.ShouldBe(McpErrorCode.InvalidParams);
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Method_that_no_specification_names_is_relayed(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        var response = await client.Sdk.SendRequestAsync(new JsonRpcRequest { Method = "test/echo", Params = new JsonObject { ["value"] = "x" } }).Within("the answer");

        response.Result!["echo"]!.GetValue<string>().ShouldBe("x");
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Text_survives_both_ways(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);
        const string Expected = "é 漢字 😀 👨‍👩‍👧 \u2028 \u2029 \ufeff \u0001 \u007f \" \\ / \b \f \n \r\n \t </script> &amp; \u00a0.";

        (await client.TextAsync("unicode")).ShouldBe(Expected);
        (await client.TextAsync("echo", new { text = Expected })).ShouldBe(Expected);
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Hundred_calls_at_once_get_each_its_own_answer(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);

        var sent = Enumerable.Range(0, 100).Select(i => string.Create(CultureInfo.InvariantCulture, $"{i} {new string('x', i * 7919 % 20_000)}")).ToList();
        var received = await Task.WhenAll(sent.Select(text => client.TextAsync("echo", new { text })));

        received.Zip(sent).Count(pair => pair.First == pair.Second).ShouldBe(100);
    }

    [Theory]
    [MemberData(nameof(BridgedCells.All), MemberType = typeof(BridgedCells))]
    public async Task Large_text_arrives_whole(Transport downstream, Transport upstream, Era era)
    {
        var client = await OpenAsync(downstream, upstream, era);
        var sent = new string('y', 2 * 1024 * 1024);

        var text = await client.TextAsync("echo", new { text = sent });

        (text == sent).ShouldBeTrue($"{text.Length} characters came, and not the right ones");
    }
}
