using System.Text;
using System.Text.Json;
using McpProxy.JsonRpc;
using McpProxy.Transports.StreamableHttp;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.StreamableHttp;

public sealed class ToolHeaderTests
{
    [Fact]
    public void Annotated_parameters_are_found_at_any_depth_of_properties()
    {
        var (headers, problem) = Read("""
            {"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"x-mcp-header":{"type":"string"},
             "nested":{"type":"object","properties":{"n":{"type":["integer","null"],"x-mcp-header":"Deep"}}}},"default":{"x-mcp-header":"data"}}
            """);
        problem.ShouldBeNull();
        headers.Select(header => $"{header.Name}={string.Join('.', header.Path)}").ShouldBe(["Mcp-Param-Region=region", "Mcp-Param-Deep=nested.n"]);
    }

    [Theory]
    [InlineData("""{"properties":{"a":{"type":"string","x-mcp-header":""}}}""")]
    [InlineData("""{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}""")]
    [InlineData("""{"properties":{"a":{"type":"string","x-mcp-header":7}}}""")]
    [InlineData("""{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}""")]
    [InlineData("""{"properties":{"a":{"x-mcp-header":"A"}}}""")]
    [InlineData("""{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}""")]
    [InlineData("""{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}""")]
    [InlineData("""{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}""")]
    [InlineData("""{"$defs":{"a":{"type":"string","x-mcp-header":"A"}}}""")]
    [InlineData("""{"type":"string","x-mcp-header":"A"}""")]
    public void Annotations_that_break_the_rules_make_the_tool_invalid(string schema) => Read(schema).Problem.ShouldNotBeNull();

    [Theory]
    [InlineData("""{"a":"text"}""", "text")]
    [InlineData("""{"a":42}""", "42")]
    [InlineData("""{"a":42.0}""", "42")]
    [InlineData("""{"a":-7}""", "-7")]
    [InlineData("""{"a":true}""", "true")]
    [InlineData("""{"a":null}""", null)]
    [InlineData("""{"b":1}""", null)]
    [InlineData("""{"a":{}}""", null)]
    public void Values_are_taken_from_the_calls_arguments(string arguments, string? value) =>
        new ToolHeader("Mcp-Param-A", ["a"]).ValueFor(Encoding.UTF8.GetBytes(arguments)).ShouldBe(value);

    [Fact]
    public void A_list_is_passed_on_without_its_invalid_tools_and_otherwise_byte_for_byte()
    {
        var catalog = new ToolHeaderCatalog(NullLogger.Instance);
        var good = """{ "name":"good", "inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}} }""";
        var bad = """{"name":"bad","inputSchema":{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}}""";
        var filtered = catalog.LearnAndFilter(Parse($$$"""{"jsonrpc":"2.0","id":1,"result":{"x":1.50,"tools":[{{{bad}}},{{{good}}},{{{bad}}}] }}"""));
        Encoding.UTF8.GetString(filtered.Utf8.Span).ShouldBe($$$"""{"jsonrpc":"2.0","id":1,"result":{"x":1.50,"tools":[{{{good}}}] }}""");
        catalog.Find("good")!.Count.ShouldBe(1);
        catalog.Find("bad").ShouldBeNull();
        var untouched = Parse($$$"""{"jsonrpc":"2.0","id":1,"result":{"tools":[ {{{good}}} ]}}""");
        catalog.LearnAndFilter(untouched).Utf8.ShouldBe(untouched.Utf8);
    }

    private static (IReadOnlyList<ToolHeader> Headers, string? Problem) Read(string schema)
    {
        using var document = JsonDocument.Parse(schema);
        return ToolSchemaReader.Read(document.RootElement);
    }

    private static JsonRpcMessage Parse(string json) =>
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out var fault) ? message : throw new ArgumentException(fault.Message, nameof(json));
}
