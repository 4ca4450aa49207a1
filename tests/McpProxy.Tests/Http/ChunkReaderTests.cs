using System.Text;
using McpProxy.Transports.Http.Plain;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Http;

/// <summary>Chunks, however they are cut.</summary>
public sealed class ChunkReaderTests
{
    [Theory]
    [InlineData("5\r\nhello\r\n0\r\n\r\n", "hello")]
    [InlineData("0\r\n\r\n", "")]
    [InlineData("5;name=value;other=\"a;b\"\r\nhello\r\n1 \r\n!\r\n000\r\n\r\n", "hello!")]
    [InlineData("A\r\n0123456789\r\n00b\r\n0123456789a\r\n0\r\nX-Trailer: a\r\nX-Other: b\r\n\r\n", "01234567890123456789a")]
    public void Are_put_together(string body, string expected)
    {
        var bytes = Encoding.ASCII.GetBytes(body);
        for (var cut = 0; cut <= bytes.Length; cut++)
        {
            var reader = new ChunkReader();
            var text = new StringBuilder();
            Feed(ref reader, bytes.AsSpan(0, cut), text).ShouldBe(cut);
            Feed(ref reader, [.. bytes.AsSpan(cut), .. "next"u8], text).ShouldBe(bytes.Length - cut);
            reader.IsAtEnd.ShouldBeTrue();
            text.ToString().ShouldBe(expected);
        }
    }

    [Theory]
    [InlineData("\r\n")]
    [InlineData("g\r\n")]
    [InlineData("-1\r\n")]
    [InlineData("0x5\r\n")]
    [InlineData(" 5\r\n")]
    [InlineData("5\n")]
    [InlineData("5;a\n")]
    [InlineData("5\rx")]
    [InlineData("5\r\nhello0\r\n")]
    [InlineData("5\r\nhello\n")]
    [InlineData("5\r\nhello\rx")]
    [InlineData("1000000000000000\r\n")]
    [InlineData("0\r\nX: a\n")]
    [InlineData("0\r\nX: a\rb")]
    [InlineData("0\r\n\rx")]
    public void That_break_the_rules_are_an_error(string body) =>
        Should.Throw<HttpIOException>(() =>
        {
            var reader = new ChunkReader();
            Feed(ref reader, Encoding.ASCII.GetBytes(body), new());
        }).HttpRequestError.ShouldBe(HttpRequestError.InvalidResponse);

    [Theory]
    [InlineData("5;")]
    [InlineData("0\r\nX: ")]
    public void Have_bounds(string beginning) =>
        Should.Throw<HttpIOException>(() =>
        {
            var reader = new ChunkReader();
            Feed(ref reader, Encoding.ASCII.GetBytes(beginning + new string('x', 20_000)), new());
        });

    [Fact]
    public void May_be_many()
    {
        var reader = new ChunkReader();
        var text = new StringBuilder();
        for (var i = 0; i < 20_000; i++)
        {
            Feed(ref reader, "1\r\nx\r\n"u8, text);
        }

        text.Length.ShouldBe(20_000);
    }

    private static int Feed(ref ChunkReader reader, ReadOnlySpan<byte> bytes, StringBuilder text)
    {
        var at = 0;
        while (at < bytes.Length && !reader.IsAtEnd)
        {
            at += reader.Read(bytes[at..]);
            var data = bytes.Slice(at, (int)Math.Min(bytes.Length - at, reader.Left));
            if (data.Length > 0)
            {
                text.Append(Encoding.ASCII.GetString(data));
                reader.Take(data.Length);
                at += data.Length;
            }
        }

        return at;
    }
}
