using System.Text;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.JsonRpc;

public sealed class LargeSpliceTests
{
    [Theory]
    [InlineData(10, false)]
    [InlineData(1_000_000, true)]
    public void Another_id_changes_nothing_else_whatever_memory_it_takes(int length, bool isLarge)
    {
        var filler = new string('x', length);
        var before = Parse($$"""{"x":1, "id" : 7, "result":{"text":"{{filler}}"} , "y":[2]}""".Replace("{\"x\"", "{\"jsonrpc\":\"2.0\",\"x\"", StringComparison.Ordinal));
        var after = JsonSplice.WithId(before, JsonRpcId.FromJson("\"another\""u8.ToArray()), out var memory);
        using (memory)
        {
            memory.IsLarge.ShouldBe(isLarge);
            Encoding.UTF8.GetString(after.Utf8.Span).ShouldBe($$"""{"jsonrpc":"2.0","x":1, "id" : "another", "result":{"text":"{{filler}}"} , "y":[2]}""");
            after.Id.ToString().ShouldBe("\"another\"");
            Encoding.UTF8.GetString(after.Result.Span).ShouldBe($$"""{"text":"{{filler}}"}""");
        }
    }

    private static JsonRpcMessage Parse(string json)
    {
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out _).ShouldBeTrue();
        return message;
    }
}
