using System.Text;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using McpProxy.Eras.LegacyClient;
using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>Messages there and back: what both eras can express comes back as it was, and nothing else is touched.</summary>
public sealed class TranslationTests
{
    private static readonly ModernRequest s_identity = ModernRequest.Of(Message(Wire.Initialize), "2026-07-28");

    [Fact]
    public void A_request_keeps_every_byte_that_is_its_own()
    {
        const string Call = """{"jsonrpc":"2.0","id": 7 ,"method":"tools/call","params":{"name":"t", "arguments":{"a":1.50, "a":1e2,"é":"\u00e9"},"_meta":{ "progressToken":"p","x":1 }},"extra":[ ]}""";

        var modern = s_identity.From(Message(Call), default);

        Text(modern).ShouldBe("""{"jsonrpc":"2.0","id": 7 ,"method":"tools/call","params":{"name":"t","arguments":{"a":1.50, "a":1e2,"é":"\u00e9"},"_meta":{"progressToken":"p","x":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{}}}},"extra":[ ]}""");
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"tools/list"}""")]
    [InlineData("""{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}""")]
    [InlineData("""{"params":{"_meta":null},"jsonrpc":"2.0","method":"tools/list","id":1}""")]
    public void A_request_without_meta_gets_one(string request)
    {
        var modern = s_identity.From(Message(request), "\"info\""u8.ToArray());

        modern.IsModern().ShouldBeTrue();
        JsonMembers.AsString(JsonMembers.Find(modern.Meta(), "io.modelcontextprotocol/logLevel"u8)).ShouldBe("info");
    }

    [Theory]
    [InlineData("""{"jsonrpc":"2.0","id":"old","method":"m","params":{"a": 1}}""", """{"jsonrpc":"2.0","id":5,"method":"m","params":{"a": 1}}""")]
    [InlineData("""{"params":{"a":1,"requestState":"s"},"method":"m", "id": "older" ,"jsonrpc":"2.0"}""", """{"params":{"a":1},"method":"m", "id": 5 ,"jsonrpc":"2.0"}""")]
    [InlineData("""{"id":1,"jsonrpc":"2.0","method":"m" }""", """{"id":5,"jsonrpc":"2.0","method":"m" ,"params":{}}""")]
    public void A_request_gets_another_id_wherever_it_stands(string modern, string legacy) =>
        Text(LegacyRequest.From(Message(modern), JsonRpcId.FromNumber(5))).ShouldBe(legacy);

    /// <summary>What takes as long as the square of this many does not end before the tests do.</summary>
    [Fact]
    public void Members_that_are_taken_out_may_be_many()
    {
        const int Many = 300_000;
        var repeated = string.Concat(Enumerable.Repeat("\"requestState\":0,\"x\":0,", Many));
        var said = string.Concat(Enumerable.Range(0, Many).Select(i => $"\"\\u0069o.modelcontextprotocol/{i}\":0,"));

        var request = $"{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{{{repeated}\"_meta\":{{{said}\"a\":1}}}}}}";
        Text(LegacyRequest.From(Message(request), JsonRpcId.FromNumber(5))).ShouldEndWith("""{"a":1}}}""");
    }

    [Theory]
    [InlineData("""{"resultType":"complete","tools":[ 1.0 ],"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}""", """{"tools":[ 1.0 ]}""")]
    [InlineData("""{"tools":[],"resultType":"complete","_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{}}}""", """{"tools":[],"_meta":{"a":1}}""")]
    [InlineData("""{ "tools" : [] }""", """{ "tools" : [] }""")]
    [InlineData("null", "null")]
    public void A_result_loses_what_the_legacy_era_lacks(string modern, string legacy) =>
        Text(LegacyResult.From(Message($$"""{"jsonrpc":"2.0","id":"u","result":{{modern}}}"""), JsonRpcId.FromNumber(3))).ShouldBe($$"""{"jsonrpc":"2.0","id":3,"result":{{legacy}}}""");

    [Fact]
    public void A_missing_resource_has_another_code_in_the_modern_era()
    {
        var error = Message(Wire.Error(1, -32002));

        ModernResult.From(error, JsonRpcId.FromNumber(2), "resources/read", default).ErrorCode().ShouldBe(-32602);
        ModernResult.From(error, JsonRpcId.FromNumber(2), "tools/call", default).ErrorCode().ShouldBe(-32002);
        ModernResult.From(Message(Wire.Error(1, -32601)), JsonRpcId.FromNumber(2), "resources/read", default).ErrorCode().ShouldBe(-32601);
    }

    [Fact]
    public void A_request_that_goes_there_and_back_asks_for_the_same() => Check.QuickThrowOnFailure(Prop.ForAll<string[], int[], bool>((names, values, hasMeta) =>
    {
        var parameters = new JsonObject();
        for (var i = 0; i < Math.Min(names.Length, values.Length); i++)
        {
            // Names and texts with every sort of character.
            parameters["p" + names[i]] = i % 2 == 0 ? values[i] : names[i];
        }

        if (hasMeta)
        {
            parameters["_meta"] = new JsonObject { ["traceparent"] = "00-1", ["progressToken"] = 1 };
        }

        var request = new JsonObject { ["jsonrpc"] = "2.0", ["id"] = 1, ["method"] = "tools/call", ["params"] = parameters };
        var there = s_identity.From(Message(request.ToJsonString()), default);
        var back = LegacyRequest.From(there, JsonRpcId.FromNumber(1));

        return JsonNode.DeepEquals(JsonNode.Parse(Text(back)), request);
    }));

    [Fact]
    public void A_result_that_goes_there_and_back_says_the_same() => Check.QuickThrowOnFailure(Prop.ForAll<string[], string>((names, text) =>
    {
        var result = new JsonObject { ["content"] = text ?? "" };
        foreach (var name in names)
        {
            result["r" + name] = name;
        }

        var response = new JsonObject { ["jsonrpc"] = "2.0", ["id"] = 1, ["result"] = result };
        var there = ModernResult.From(Message(response.ToJsonString()), JsonRpcId.FromNumber(9), "tools/list", """{"name":"s","version":"1"}"""u8.ToArray());
        var back = LegacyResult.From(there, JsonRpcId.FromNumber(1));

        return JsonNode.DeepEquals(JsonNode.Parse(Text(back)), response);
    }));

    [Fact]
    public void Equal_parameters_have_one_digest_however_they_are_written()
    {
        var digest = ParamsDigest.Of("""{"name":"t","arguments":{"a":1,"b":["x","é"]}}"""u8.ToArray());

        ParamsDigest.Of("""{ "arguments":{"b":[ "x","\u00e9"],"a":1},"name":"\u0074","requestState":"s","inputResponses":{},"_meta":{}}"""u8.ToArray()).ShouldBe(digest);
        ParamsDigest.Of("""{"name":"t","arguments":{"a":1,"b":["xé"]}}"""u8.ToArray()).ShouldNotBe(digest);
        ParamsDigest.Of("""{"name":"t","arguments":{"a":1,"b":["x","é"],"_meta":1}}"""u8.ToArray()).ShouldNotBe(digest);
        ParamsDigest.Of("""{"name":"t","arguments":{"a":12,"b":["x","é"]}}"""u8.ToArray()).ShouldNotBe(digest);
    }

    [Fact]
    public void A_seal_opens_for_the_same_call_of_the_same_principal_only()
    {
        using var seal = new RequestStateSeal();
        using var other = new RequestStateSeal();
        var parameters = """{"name":"t"}"""u8.ToArray();
        var binding = RequestStateSeal.BindingOf("alice", "tools/call", parameters);
        var call = Guid.NewGuid();
        var text = seal.Seal(call, 3, 99, binding);

        seal.Open(text, binding).ShouldBe((call, 3, 99L));
        seal.Open(text, RequestStateSeal.BindingOf("bob", "tools/call", parameters)).ShouldBeNull();
        seal.Open(text, RequestStateSeal.BindingOf(null, "tools/call", parameters)).ShouldBeNull();
        seal.Open(text, RequestStateSeal.BindingOf("alice", "prompts/get", parameters)).ShouldBeNull();
        seal.Open(text, RequestStateSeal.BindingOf("alice", "tools/call", """{"name":"u"}"""u8.ToArray())).ShouldBeNull();
        other.Open(text, binding).ShouldBeNull();
        for (var i = 0; i < text.Length; i++)
        {
            seal.Open($"{text[..i]}{(text[i] == 'A' ? 'B' : 'A')}{text[(i + 1)..]}", binding).ShouldBeNull();
        }

        foreach (var nonsense in new[] { "", "!", "é", text + "A", text[1..] })
        {
            seal.Open(nonsense, binding).ShouldBeNull();
        }
    }

    private static JsonRpcMessage Message(string json) => JsonSplice.Reparse(Encoding.UTF8.GetBytes(json));

    private static string Text(in JsonRpcMessage message) => Encoding.UTF8.GetString(message.Utf8.Span);
}
