using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

public sealed class StdioWriterTests
{
    [Theory]
    [InlineData(0, true)]
    [InlineData(200, false)]
    [InlineData(64 * 1024 - 2, true)]
    [InlineData(64 * 1024 - 1, false)]
    [InlineData(64 * 1024, true)]
    [InlineData(1_000_000, false)]
    [InlineData(1_000_000, true)]
    public async Task A_message_is_one_line_whatever_its_length_and_its_line_breaks(int length, bool isBlocking)
    {
        var message = Enumerable.Range(0, length).Select(i => (byte)(i % 70_001 == 5 ? '\n' : i % 50_021 == 7 ? '\r' : 'a' + (i % 26))).ToArray();
        var before = message.ToArray();
        using var stream = new MemoryStream();
        using var writer = new StdioWriter(stream, isBlocking);
        (await writer.WriteAsync(message, TestContext.Current.CancellationToken)).ShouldBeTrue();
        (await writer.WriteAsync("{}"u8.ToArray(), TestContext.Current.CancellationToken)).ShouldBeTrue();
        message.SequenceEqual(before).ShouldBeTrue();
        byte[] expected = [.. message.Select(b => b is (byte)'\n' or (byte)'\r' ? (byte)' ' : b), .. "\n{}\n"u8];
        stream.ToArray().SequenceEqual(expected).ShouldBeTrue();
    }
}
