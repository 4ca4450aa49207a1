using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.JsonRpc.Scanning;

public sealed class JsonValueTests
{
    [Fact]
    public void Accepts_what_the_reader_accepts_and_nothing_else() =>
        Prop.ForAll<DoNotSize<int>>(seed =>
        {
            var random = new RandomJson(seed.Item);
            var json = random.Value(5);
            AgreesOn(Encoding.UTF8.GetBytes(json));
            for (var i = 0; i < 20; i++)
            {
                AgreesOn(random.Broken(json));
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));

    [Theory]
    [InlineData("01")]
    [InlineData("-")]
    [InlineData("1.")]
    [InlineData(".5")]
    [InlineData("1e")]
    [InlineData("+1")]
    [InlineData("nul")]
    [InlineData("nulls")]
    [InlineData("\"\\x\"")]
    [InlineData("\"\\u12g4\"")]
    [InlineData("\"\\u123")]
    [InlineData("\"\\")]
    [InlineData("\"a\nb\"")]
    [InlineData("\"0123456789abcdef0123456789\u0001\"")]
    [InlineData("[1,]")]
    [InlineData("[,1]")]
    [InlineData("{\"a\":1,}")]
    [InlineData("{\"a\" 1}")]
    [InlineData("{a:1}")]
    [InlineData("{\"a\":}")]
    [InlineData("[1}")]
    [InlineData("{\"a\":1]")]
    [InlineData("[/*x*/1]")]
    [InlineData("")]
    public void Broken_values_are_left_to_the_reader(string json) => AgreesOn(Encoding.UTF8.GetBytes(json));

    /// <summary>Text is looked at by blocks: what ends it may stand anywhere in one, and text may end anywhere.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("\\n")]
    [InlineData("\\u00e4")]
    [InlineData("\\x")]
    [InlineData("\n")]
    [InlineData("\u001f")]
    [InlineData("\u007f")]
    [InlineData("\u00ff")]
    public void What_ends_a_text_is_found_at_every_place(string special)
    {
        for (var before = 0; before <= 140; before++)
        {
            for (var after = 0; after <= 40; after += 5)
            {
                var text = $"\"{new string('a', before)}{special}{new string(' ', after)}";
                AgreesOn(Encoding.UTF8.GetBytes($"{text}\""));
                AgreesOn(Encoding.UTF8.GetBytes($"[{text}\",1]"));
                AgreesOn(Encoding.UTF8.GetBytes(text));
            }
        }
    }

    [Theory]
    [InlineData(3)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1024)]
    public void Depth_is_bounded_as_the_readers_is(int maxDepth)
    {
        foreach (var depth in (int[])[maxDepth - 1, maxDepth, maxDepth + 1])
        {
            AgreesOn(Encoding.UTF8.GetBytes(new string('[', depth) + new string(']', depth)), maxDepth);
            AgreesOn(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":[", depth / 2)) + "{}" + string.Concat(Enumerable.Repeat("]}", depth / 2))), maxDepth);
        }
    }

    private static void AgreesOn(byte[] json, int maxDepth = 64)
    {
        if (!System.Text.Unicode.Utf8.IsValid(json))
        {
            // Never asked: a message that is not UTF-8 is refused before.
            return;
        }

        var end = JsonValue.End(json, 0, maxDepth);
        var isAlone = end >= 0 && JsonValue.SkipWhiteSpace(json, end) == json.Length;
        isAlone.ShouldBe(ReaderAccepts(json, maxDepth, out var readerEnd), Encoding.UTF8.GetString(json));
        if (isAlone)
        {
            end.ShouldBe(readerEnd);
        }
    }

    private static bool ReaderAccepts(byte[] json, int maxDepth, out int end)
    {
        end = 0;
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = maxDepth });
            if (!reader.Read())
            {
                return false;
            }

            reader.Skip();
            end = (int)reader.BytesConsumed;
            return !reader.Read();
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
