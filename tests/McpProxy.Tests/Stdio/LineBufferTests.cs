using System.Text;
using FsCheck;
using FsCheck.Fluent;
using McpProxy.JsonRpc;
using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

public sealed class LineBufferTests
{
    [Fact]
    public void Lines_come_out_whole_however_they_are_cut()
    {
        var property = Prop.ForAll<string[], PositiveInt>((lines, chunk) =>
        {
            var expected = (lines ?? []).Select(line => (line ?? "").Replace("\n", "", StringComparison.Ordinal).TrimEnd('\r')).ToList();
            var bytes = Encoding.UTF8.GetBytes(string.Concat(expected.Select(line => line + "\n")));
            return Read(bytes, chunk.Get, 1_000_000).Select(line => line.Text).SequenceEqual(expected.Select(Utf8RoundTrip));
        });
        Check.QuickThrowOnFailure(property);

        static string Utf8RoundTrip(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
    }

    [Theory]
    [InlineData(3000)]
    [InlineData(65_536)]
    [InlineData(10_000_000)]
    public void Large_lines_come_out_whole_among_small_ones(int chunk)
    {
        var expected = new[] { 10, 70_000, 0, 4_000_000, 3, 1_048_576, 1_048_576, 65_536, 20, 9_000_000, 5 }
            .Select(length => string.Create(length, 0, (text, _) => Random.Shared.GetItems("abcdefg", text))).ToList();
        var bytes = Encoding.UTF8.GetBytes(string.Concat(expected.Select(line => line + "\n")));
        Read(bytes, chunk, 16_000_000).Select(line => line.Text).SequenceEqual(expected).ShouldBeTrue();
    }

    [Fact]
    public void A_carriage_return_before_the_line_end_is_left_out_and_the_last_line_needs_no_end()
    {
        Read("a\r\n\r\nb"u8.ToArray(), 2, 100).Select(line => line.Text).ShouldBe(["a", "", "b"]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(5000)]
    public void A_line_that_is_too_long_leaves_its_id_and_the_lines_around_it(int chunk)
    {
        var text = new string('x', 2000);
        var input = $$$"""
            {"jsonrpc":"2.0","id":1,"method":"before"}
            {"jsonrpc":"2.0","method":"tools/call","params":{"id":"wrong","text":"{{{text}}} \" } ,\"id\":5"},"id" : "right"}
            {"jsonrpc":"2.0","id":7,"result":{"id":8,"text":["{{{text}}}"]}}
            {"jsonrpc":"2.0","id":3,"method":"after"}

            """;
        var lines = Read(Encoding.UTF8.GetBytes(input), chunk, 1000);
        lines.Count.ShouldBe(4);
        lines[0].Fault.ShouldBeNull();
        lines[1].Fault!.Value.Id.ToString().ShouldBe("\"right\"");
        lines[1].Fault!.Value.IsResponse.ShouldBeFalse();
        lines[2].Fault!.Value.Id.ShouldBe(JsonRpcId.FromNumber(7));
        lines[2].Fault!.Value.IsResponse.ShouldBeTrue();
        lines[3].Text.ShouldContain("after");
    }

    private static List<(string Text, JsonRpcFault? Fault)> Read(byte[] bytes, int chunk, int maxLength)
    {
        using var buffer = new LineBuffer(maxLength);
        var lines = new List<(string, JsonRpcFault?)>();
        for (var at = 0; at <= bytes.Length;)
        {
            var free = buffer.Free();
            var count = Math.Min(Math.Min(chunk, free.Length), bytes.Length - at);
            bytes.AsSpan(at, count).CopyTo(free.Span);
            buffer.Filled(count);
            at += count;
            while (count > 0 ? buffer.TryTake(out var line, out var fault) : buffer.TryTakeRest(out line, out fault))
            {
                lines.Add((Encoding.UTF8.GetString(line.Span), fault));
            }

            if (count == 0)
            {
                break;
            }
        }

        return lines;
    }
}
