using System.Text;
using McpProxy.Auth;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth;

/// <summary>What others wrote: scopes, documents, errors.</summary>
public sealed class OAuthTextTests
{
    [Theory]
    [InlineData(null, null)]
    [InlineData("", null)]
    [InlineData(" \t ", null)]
    [InlineData(" b  a\tb A ", "b a A")]
    public void Scopes_keep_their_order_and_come_once(string? text, string? parameter)
    {
        var scopes = ScopeSet.Parse(text);
        scopes.ToParameter().ShouldBe(parameter);
        scopes.ToString().ShouldBe(parameter ?? "");
        scopes.IsEmpty.ShouldBe(parameter is null);
    }

    [Theory]
    [InlineData("a b", "b", true, "a b")]
    [InlineData("a b", "", true, "a b")]
    [InlineData("", "", true, "")]
    [InlineData("a", "b a", false, "a b")]
    [InlineData("a", "A", false, "a A")]
    public void Scopes_are_sets(string some, string others, bool covers, string union)
    {
        ScopeSet.Parse(some).Covers(ScopeSet.Parse(others)).ShouldBe(covers);
        ScopeSet.Parse(some).Union(ScopeSet.Parse(others)).ToString().ShouldBe(union);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[{}]")]
    [InlineData("\"{}\"")]
    [InlineData("{")]
    [InlineData("{} {}")]
    [InlineData("<html></html>")]
    public void What_is_no_object_is_no_document(string json) => OAuthDocument.TryParse(Encoding.UTF8.GetBytes(json)).ShouldBeNull();

    [Fact]
    public void Nesting_has_an_end()
    {
        OAuthDocument.TryParse(Encoding.UTF8.GetBytes(Nested(20))).ShouldNotBeNull();
        OAuthDocument.TryParse(Encoding.UTF8.GetBytes(Nested(100_000))).ShouldBeNull();

        static string Nested(int depth) => $"{{\"a\":{new string('[', depth)}{new string(']', depth)}}}";
    }

    [Fact]
    public void Members_of_the_wrong_type_count_as_missing()
    {
        var document = Document("""{"number":1,"text":"x","list":["a",1,null,["b"],"c"],"object":{},"nothing":null,"flag":true,"yes":"true","no":false}""");
        document.String("text").ShouldBe("x");
        document.Strings("list").ShouldBe(["a", "c"]);
        document.Flag("flag").ShouldBeTrue();
        foreach (var name in (string[])["number", "list", "object", "nothing", "flag", "missing"])
        {
            document.String(name).ShouldBeNull();
        }

        foreach (var name in (string[])["text", "object", "nothing", "missing"])
        {
            document.Strings(name).ShouldBeNull();
            document.Number(name).ShouldBeNull();
        }

        foreach (var name in (string[])["yes", "no", "number", "missing"])
        {
            document.Flag(name).ShouldBeFalse();
        }
    }

    [Theory]
    [InlineData("3600", 3600L)]
    [InlineData("\"3600\"", 3600L)]
    [InlineData("3599.9", 3599L)]
    [InlineData("1e3", 1000L)]
    [InlineData("-5", -5L)]
    [InlineData("\"-5\"", -5L)]
    [InlineData("1e400", null)]
    [InlineData("1e15", null)]
    [InlineData("\"\"", null)]
    [InlineData("\"soon\"", null)]
    [InlineData("\"99999999999999999999\"", null)]
    [InlineData("true", null)]
    public void Numbers_may_be_written_as_strings(string value, long? number) => Document($$"""{"n":{{value}}}""").Number("n").ShouldBe(number);

    [Theory]
    [InlineData("""{"s":"\ud800","list":["\udc00x","b"],"good":"\ud83d\ude00"}""")]
    [InlineData("""{"\ud800":1,"s":"\ud800","list":["b"],"\udc00":1,"good":"\ud83d\ude00","\ud800":1}""")]
    public void Text_that_is_no_text_counts_as_missing(string json)
    {
        var document = Document(json);
        document.String("s").ShouldBeNull();
        document.Number("s").ShouldBeNull();
        document.Strings("list").ShouldBe(["b"]);
        document.String("good").ShouldBe("😀");
        document.String("missing").ShouldBeNull();
        document.Members.Select(member => member.Name).ShouldBe(["s", "list", "good"]);
    }

    [Fact]
    public void Bytes_that_are_no_text_count_as_missing()
    {
        var document = OAuthDocument.TryParse((byte[])[.. "{\"s\":\""u8, 0xFF, .. "\",\"good\":\"x\"}"u8]);
        document?.String("s").ShouldBeNull();
        document?.String("good").ShouldBe("x");
    }

    [Theory]
    [InlineData("""{"error":"invalid_grant"}""", "invalid_grant")]
    [InlineData("""{"error":"invalid_grant","error_description":""}""", "invalid_grant")]
    [InlineData("""{"error":"invalid_grant","error_description":"used\r\n\u001b[31mbefore"}""", "invalid_grant: used   [31mbefore")]
    [InlineData("""{"error":{"code":1}}""", null)]
    [InlineData("""{"error_description":"x"}""", null)]
    public void An_error_is_fit_for_a_person(string json, string? text) => OAuthErrors.Describe(Document(json)).ShouldBe(text);

    [Fact]
    public void An_error_is_short()
    {
        OAuthErrors.Describe("e", new string('x', 10_000)).Length.ShouldBe(300);
        OAuthErrors.Describe(new string('x', 10_000), null).Length.ShouldBe(300);
        OAuthErrors.Describe(null).ShouldBeNull();
    }

    private static OAuthDocument Document(string json) => OAuthDocument.TryParse(Encoding.UTF8.GetBytes(json)).ShouldNotBeNull();
}
