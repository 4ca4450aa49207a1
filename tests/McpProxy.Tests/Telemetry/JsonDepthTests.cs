using System.Text;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Telemetry;

/// <summary>How deep messages may be nested.</summary>
public sealed class JsonDepthTests
{
    [Theory]
    [InlineData("""{"a":[1,{"b":2}]}""", 3, false)]
    [InlineData("""{"a":[1,{"b":2}]}""", 2, true)]
    [InlineData("""{"a":"[[[[[[","b":"\"[[[[[","c":"\\"}""", 1, false)]
    [InlineData("""[[],[],[],[]]""", 2, false)]
    [InlineData("\"[[[[[", 1, false)]
    [InlineData("\"\\", 1, false)]
    [InlineData("", 1, false)]
    public void Brackets_in_strings_do_not_count(string text, int levels, bool exceeds) =>
        JsonDepth.Exceeds(Encoding.UTF8.GetBytes(text), levels).ShouldBe(exceeds);

    [Theory]
    [InlineData(128, true)]
    [InlineData(129, false)]
    public void Messages_may_be_as_deep_as_they_may_and_no_deeper(int depth, bool isRead)
    {
        // The message is one level, its params the next.
        var text = $$"""{"jsonrpc":"2.0","id":1,"method":"m","params":{{new string('[', depth - 1)}}{{new string(']', depth - 1)}}}""";
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(text), 128, out _, out var fault).ShouldBe(isRead);
        if (!isRead)
        {
            fault.Code.ShouldBe(JsonRpcErrorCode.InvalidRequest);
            fault.Message.ShouldContain("deeper than 128");
        }
    }

    [Fact]
    public void Sixty_four_mebibytes_of_brackets_are_given_up_where_they_get_too_deep()
    {
        var bytes = new byte[64 * 1024 * 1024];
        bytes.AsSpan().Fill((byte)'[');
        var before = GC.GetAllocatedBytesForCurrentThread();
        JsonRpcMessage.TryParse(bytes, 128, out _, out var fault).ShouldBeFalse();
        fault.Message.ShouldContain("deeper");
        JsonRpcMessage.TrySplitBatch(bytes, 128, out _, out fault).ShouldBeFalse();
        fault.Message.ShouldContain("deeper");
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(100_000);
    }
}
