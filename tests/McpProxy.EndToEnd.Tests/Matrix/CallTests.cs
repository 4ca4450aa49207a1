using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>Requests and their answers.</summary>
public sealed class CallTests(ITestOutputHelper output, Cells cells) : MatrixTest(output, cells)
{
    private const int FiveMegabytes = 5 * 1024 * 1024;

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Call_is_answered(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        (await client.TextAsync("echo", new { text = "hello" })).ShouldBe("hello");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Failing_tool_answers_with_an_error_result(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var result = await client.CallAsync("fail");

        result.IsError.ShouldBe(true);
        result.Content.OfType<TextContentBlock>().Single().Text.ShouldContain("deliberate");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Json_rpc_error_keeps_its_code_and_message(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var error = await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("protocol_error"));

        ((int)error.ErrorCode).ShouldBe(-32050);
        error.Message.ShouldContain("deliberate, as JSON-RPC");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Unknown_tool_is_the_servers_own_error(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var error = await Should.ThrowAsync<McpProtocolException>(() => client.CallAsync("no_such_tool"));

        error.ErrorCode.ShouldBe(McpErrorCode.InvalidParams);
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Unknown_method_is_the_servers_own_error(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);
        var request = new JsonRpcRequest { Method = "test/no_such_method", Params = new JsonObject() };

        // The revision has HTTP say 404 to this as well, and the SDK's client takes the status without looking at the body.
        if (era == Era.Modern && downstream == Transport.StreamableHttp)
        {
            var status = await Should.ThrowAsync<HttpRequestException>(() => client.Sdk.SendRequestAsync(request).Within("the error"));
            status.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            status.Message.ShouldContain("-32601");
            return;
        }

        var error = await Should.ThrowAsync<McpProtocolException>(() => client.Sdk.SendRequestAsync(request).Within("the error"));
        error.ErrorCode.ShouldBe(McpErrorCode.MethodNotFound);
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Method_that_no_specification_names_is_relayed(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var response = await client.Sdk.SendRequestAsync(new JsonRpcRequest { Method = "test/echo", Params = new JsonObject { ["value"] = "x" } }).Within("the answer");

        response.Result!["echo"]!.GetValue<string>().ShouldBe("x");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Structured_content_arrives(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var result = await client.CallAsync("structured", new { text = "héllo" });

        var content = result.StructuredContent.ShouldNotBeNull();
        content.GetProperty("text").GetString().ShouldBe("héllo");
        content.GetProperty("length").GetInt32().ShouldBe(5);
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Metadata_of_the_clients_own_arrive(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var result = await client.CallAsync("own_meta", meta: new() { ["x"] = new JsonObject { ["y"] = 1 } });

        result.Content.OfType<TextContentBlock>().Single().Text.ShouldBe("""{"y":1}""");
    }

    [Theory]
    [MemberData(nameof(Cells.Between), Era.Legacy, Era.Legacy, MemberType = typeof(Cells))]
    public async Task Ping_is_answered(Transport downstream, Transport upstream)
    {
        foreach (var server in new[] { Era.Legacy, Era.Modern }.Where(server => server == Era.Legacy || upstream != Transport.Sse))
        {
            var client = await OpenAsync(downstream, upstream, Era.Legacy, server);
            await client.Sdk.PingAsync().AsTask().Within("ping");
        }
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Text_survives_both_ways(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);
        const string Expected = "é 漢字 😀 👨‍👩‍👧 \u2028 \u2029 \ufeff \u0001 \u007f \" \\ / \b \f \n \r\n \t </script> &amp; \u00a0.";

        (await client.TextAsync("unicode")).ShouldBe(Expected);
        (await client.TextAsync("echo", new { text = Expected })).ShouldBe(Expected);
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Large_result_arrives_whole(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        var text = await client.TextAsync("big", new { size = FiveMegabytes });

        // Not ShouldBe: its report on a difference would be longer than the text.
        (text == Alphabet(FiveMegabytes)).ShouldBeTrue($"{text.Length} characters came, and not the right ones");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Large_argument_arrives_whole(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);
        var sent = Alphabet(FiveMegabytes);

        var text = await client.TextAsync("echo", new { text = sent });

        (text == sent).ShouldBeTrue($"{text.Length} characters came, and not the right ones");
    }

    [Theory]
    [MemberData(nameof(Cells.All), MemberType = typeof(Cells))]
    public async Task Hundred_calls_at_once_get_each_its_own_answer(Transport downstream, Transport upstream, Era era, Era server)
    {
        var client = await OpenAsync(downstream, upstream, era, server);

        // Answers of different length come back in another order than the calls went out.
        var sent = Enumerable.Range(0, 100).Select(i => string.Create(CultureInfo.InvariantCulture, $"{i} {Alphabet(i * 7919 % 20_000)}")).ToList();
        var received = await Task.WhenAll(sent.Select(text => client.TextAsync("echo", new { text })));

        received.Zip(sent).Count(pair => pair.First == pair.Second).ShouldBe(100);
    }

    private static string Alphabet(int size) => string.Create(size, 0, static (text, _) =>
    {
        for (var i = 0; i < text.Length; i++)
        {
            text[i] = (char)('a' + (i % 26));
        }
    });
}
