using System.Text;
using FsCheck;
using FsCheck.Fluent;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.JsonRpc;

public sealed class JsonRpcMessageTests
{
    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"ping"}""", JsonRpcMessageKind.Request)]
    [InlineData("""{"method":"a/b","params":[1,{"id":5}],"id":"","jsonrpc":"2.0"}""", JsonRpcMessageKind.Request)]
    [InlineData("""{"jsonrpc":"2.0","method":"notifications/x","extra":{"method":1}}""", JsonRpcMessageKind.Notification)]
    [InlineData("""{"jsonrpc":"2.0","id":1,"result":null}""", JsonRpcMessageKind.Response)]
    [InlineData("""{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}""", JsonRpcMessageKind.Response)]
    [InlineData("""{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}""", JsonRpcMessageKind.Response)]
    public void Messages_are_told_apart(string json, JsonRpcMessageKind kind)
    {
        Parse(json).Kind.ShouldBe(kind);
        Text(Parse(json).Utf8).ShouldBe(json);
    }

    [Fact]
    public void White_space_and_a_byte_order_mark_around_a_message_are_left_out()
    {
        Text(Parse("\uFEFF \t{\"jsonrpc\":\"2.0\",\"method\":\"x\"} \r\n").Utf8).ShouldBe("{\"jsonrpc\":\"2.0\",\"method\":\"x\"}");
    }

    [Fact]
    public void Escapes_in_the_envelope_are_understood()
    {
        var message = Parse("""{"jsonrp\u0063":"2.0","i\u0064":7,"method":"tools\/list"}""");
        message.Id.ShouldBe(JsonRpcId.FromNumber(7));
        message.Is("tools/list"u8).ShouldBeTrue();
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":2,"method":"b","\ud800":1}""")]
    [InlineData("""{"jsonrpc":"2.0","id":2,"method":"\ud800"}""")]
    [InlineData("""{"jsonrpc":"2.0","id":"\ud800","method":"b","params":{"\ud800":1,"progressToken":1,"_meta":{"\udfff":"io.modelcontextprotocol/protocolVersion"}}}""")]
    public void Text_that_is_no_unicode_is_passed_on_like_any_other(string json)
    {
        var message = Parse(json);
        message.Kind.ShouldBe(JsonRpcMessageKind.Request);
        message.Is("b"u8).ShouldBe(json.Contains("\"b\"", StringComparison.Ordinal));
        message.IsModern().ShouldBeFalse();
        message.ProgressToken().IsNone.ShouldBeTrue();
        Text(message.Utf8).ShouldBe(json);
    }

    [Theory]
    [InlineData("""{"jsonrpc":"\ud800","id":2,"method":"b"}""")]
    public void A_version_that_is_no_unicode_is_an_invalid_request(string json)
    {
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out _, out var fault).ShouldBeFalse();
        fault.Code.ShouldBe(JsonRpcErrorCode.InvalidRequest);
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":1x,"method":"a" """, "")]
    [InlineData("""{"jsonrpc":"2.0","id":"a\u0001","result":{} """, "\"a\\u0001\"")]
    [InlineData("""{"result":[{"id":4}],"id":7,"broken """, "7")]
    [InlineData("""{"id":[1],"result":1}""", "")]
    public void The_id_of_a_message_that_cannot_be_read_is_taken_only_if_it_is_one(string json, string id)
    {
        var scanner = new EnvelopeScanner();
        scanner.Read(Encoding.UTF8.GetBytes(json));
        var fault = scanner.Fault(JsonRpcErrorCode.ParseError, "x");
        fault.Id.ToString().ShouldBe(id);
        JsonRpcWriter.Error(fault).IsError.ShouldBeTrue();
    }

    [Theory]
    [InlineData("garbage", JsonRpcErrorCode.ParseError, "")]
    [InlineData("", JsonRpcErrorCode.ParseError, "")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"", JsonRpcErrorCode.ParseError, "")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}}", JsonRpcErrorCode.ParseError, "")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{bad}}", JsonRpcErrorCode.ParseError, "")]
    [InlineData("42", JsonRpcErrorCode.InvalidRequest, "")]
    [InlineData("{\"id\":1,\"method\":\"x\"}", JsonRpcErrorCode.InvalidRequest, "1")]
    [InlineData("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"x\"}", JsonRpcErrorCode.InvalidRequest, "1")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":2}", JsonRpcErrorCode.InvalidRequest, "1")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"\"}", JsonRpcErrorCode.InvalidRequest, "\"a\"")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"x\"}", JsonRpcErrorCode.InvalidRequest, "")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"x\"}", JsonRpcErrorCode.InvalidRequest, "null")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"id\":1}", JsonRpcErrorCode.InvalidRequest, "1")]
    [InlineData("{\"jsonrpc\":\"2.0\",\"result\":1}", JsonRpcErrorCode.InvalidRequest, "")]
    public void Faults_name_the_error_that_the_sender_is_owed(string json, int code, string id)
    {
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out _, out var fault).ShouldBeFalse();
        fault.Code.ShouldBe(code);
        fault.Id.ToString().ShouldBe(id);
    }

    [Fact]
    public void Invalid_utf8_is_a_parse_error()
    {
        byte[] bytes = [.. "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":[\""u8, 0xFF, .. "\"]}"u8];
        JsonRpcMessage.TryParse(bytes, out _, out var fault).ShouldBeFalse();
        fault.Code.ShouldBe(JsonRpcErrorCode.ParseError);
    }

    [Fact]
    public void Nesting_is_bounded()
    {
        JsonRpcMessage.TryParse(Nested(JsonRpcMessage.MaxDepth - 1), out _, out _).ShouldBeTrue();
        JsonRpcMessage.TryParse(Nested(JsonRpcMessage.MaxDepth + 1), out _, out _).ShouldBeFalse();

        static byte[] Nested(int depth) => Encoding.UTF8.GetBytes($$"""{"jsonrpc":"2.0","method":"x","params":{{new string('[', depth)}}{{new string(']', depth)}}}""");
    }

    [Fact]
    public void A_batch_is_split_into_the_bytes_of_its_elements()
    {
        JsonRpcMessage.TrySplitBatch(" [ {\"a\" : 1} ,2, [3] ] "u8.ToArray(), out var elements, out _).ShouldBeTrue();
        elements.Select(Text).ShouldBe(["{\"a\" : 1}", "2", "[3]"]);
        JsonRpcMessage.TrySplitBatch("[]"u8.ToArray(), out _, out var empty).ShouldBeFalse();
        empty.Code.ShouldBe(JsonRpcErrorCode.InvalidRequest);
        JsonRpcMessage.TrySplitBatch("[1"u8.ToArray(), out _, out var broken).ShouldBeFalse();
        broken.Code.ShouldBe(JsonRpcErrorCode.ParseError);
    }

    [Fact]
    public void Another_id_changes_nothing_else()
    {
        var property = Prop.ForAll<string, int, int>((text, before, after) =>
        {
            var rest = $"\"method\":\"m\",\"params\":{{\"text\":{System.Text.Json.JsonSerializer.Serialize(text ?? "")},\"id\":{before}}}}}";
            var message = Parse($"{{\"id\" : {before} ,\"jsonrpc\":\"2.0\",{rest}");
            return Text(JsonSplice.WithId(message, JsonRpcId.FromNumber(after)).Utf8) == $"{{\"id\" : {after} ,\"jsonrpc\":\"2.0\",{rest}";
        });
        Check.QuickThrowOnFailure(property);
    }

    [Fact]
    public void An_answer_without_an_id_gets_one()
    {
        var message = Parse("""{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}""");
        Text(JsonSplice.WithId(message, JsonRpcId.FromNumber(3)).Utf8).ShouldBe("""{"id":3,"jsonrpc":"2.0","error":{"code":1,"message":"x"}}""");
    }

    [Fact]
    public void A_message_of_the_modern_era_is_known_by_its_meta()
    {
        Parse("""{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}""").IsModern().ShouldBeTrue();
        Parse("""{"jsonrpc":"2.0","id":1,"method":"x","params":{"text":"io.modelcontextprotocol/protocolVersion"}}""").IsModern().ShouldBeFalse();
        Parse("""{"jsonrpc":"2.0","id":1,"method":"x","params":{"\u005fmeta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}""").IsModern().ShouldBeTrue();
        Parse("""{"jsonrpc":"2.0","id":1,"method":"x","params":{"text":"LONG","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"""
            .Replace("LONG", new string('x', 10_000), StringComparison.Ordinal)).IsModern().ShouldBeTrue();
    }

    [Fact]
    public void The_proxys_own_errors_are_messages()
    {
        var error = JsonRpcWriter.Error(Parse("""{"jsonrpc":"2.0","id":"a\"b","method":"x"}""").Id, -32603, "it said \"no\"\n");
        error.IsError.ShouldBeTrue();
        error.ErrorCode().ShouldBe(-32603);
        Text(error.Utf8).ShouldContain("\"id\":\"a\\\"b\"");
        Text(JsonRpcWriter.Error(default, -32700, "x").Utf8).ShouldContain("\"id\":null");
    }

    private static JsonRpcMessage Parse(string json) =>
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out var fault) ? message : throw new ArgumentException(fault.Message, nameof(json));

    private static string Text(ReadOnlyMemory<byte> utf8) => Encoding.UTF8.GetString(utf8.Span);
}
