using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.JsonRpc.Scanning;

public sealed class ObjectReaderTests
{
    [Fact]
    public void Finds_the_members_that_the_platforms_reader_finds() =>
        Prop.ForAll<DoNotSize<int>>(seed =>
        {
            var random = new RandomJson(seed.Item);
            var json = $"{{\"a\":{random.Value(4)} , \"\\u0061\" : {random.Value(4)},\"\":{random.Value(2)}}}";
            AgreesOn(Encoding.UTF8.GetBytes(json));
            for (var i = 0; i < 20; i++)
            {
                AgreesOn(random.Broken(json));
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));

    [Theory]
    [InlineData("{}", "")]
    [InlineData("{ }x", "")]
    [InlineData("{\"a\":1}}", "\"a\"=1")]
    [InlineData("{ \"a\" : 1 , \"a\":[ ],\"b\":\"}\"\n}", "\"a\"=1|\"a\"=[ ]|\"b\"=\"}\"")]
    public void Members_come_in_order_with_their_text(string json, string members) => string.Join('|', MembersOf(Encoding.UTF8.GetBytes(json))!).ShouldBe(members);

    [Theory]
    [InlineData("{")]
    [InlineData("{,}")]
    [InlineData("{\"a\"}")]
    [InlineData("{\"a\":}")]
    [InlineData("{\"a\":1")]
    [InlineData("{\"a\":1,")]
    [InlineData("{\"a\":1,}")]
    [InlineData("{\"a\":1 \"b\":2}")]
    public void What_is_no_object_is_an_error(string json) => MembersOf(Encoding.UTF8.GetBytes(json)).ShouldBeNull();

    [Theory]
    [InlineData("a", "a", true)]
    [InlineData("\\u0061", "a", true)]
    [InlineData("ä", "ä", true)]
    [InlineData("\\u00e4", "ä", true)]
    [InlineData("a\\\\n", "a\\n", true)]
    [InlineData("a\\n", "a\\n", false)]
    [InlineData("a", "aa", false)]
    [InlineData("\\ud800", "\ufffd", false)]
    public void Names_are_compared_as_what_they_say(string text, string name, bool isSame)
    {
        var reader = new ObjectReader(Encoding.UTF8.GetBytes($"{{\"{text}\":1}}"));
        reader.TryRead().ShouldBeTrue();
        reader.NameIs(Encoding.UTF8.GetBytes(name)).ShouldBe(isSame);
    }

    private static void AgreesOn(byte[] json)
    {
        if (System.Text.Unicode.Utf8.IsValid(json) && json is [(byte)'{', ..])
        {
            MembersOf(json).ShouldBe(PlatformsMembersOf(json), Encoding.UTF8.GetString(json));
        }
    }

    private static List<string>? MembersOf(byte[] json)
    {
        List<string> members = [];
        var reader = new ObjectReader(json);
        try
        {
            while (reader.TryRead())
            {
                members.Add($"{Encoding.UTF8.GetString(json[reader.Name])}={Encoding.UTF8.GetString(json[reader.Value])}");
            }
        }
        catch (JsonException)
        {
            return null;
        }

        reader.TryRead().ShouldBeFalse();
        return members;
    }

    private static List<string>? PlatformsMembersOf(byte[] json)
    {
        List<string> members = [];
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = JsonRpcMessage.MaxDepth });
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = Encoding.UTF8.GetString(json.AsSpan((int)reader.TokenStartIndex, reader.ValueSpan.Length + 2));
                reader.Read();
                var start = (int)reader.TokenStartIndex;
                reader.Skip();
                members.Add($"{name}={Encoding.UTF8.GetString(json[start..(int)reader.BytesConsumed])}");
            }
        }
        catch (JsonException)
        {
            return null;
        }

        return members;
    }
}
