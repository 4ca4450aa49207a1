using System.Text;
using McpProxy.JsonRpc;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.JsonRpc;

public sealed class JsonRpcIdTests
{
    [Theory]
    [InlineData("1", "1")]
    [InlineData("0", "-0")]
    [InlineData("1", "1.0")]
    [InlineData("100", "1e2")]
    [InlineData("9223372036854775807", "9223372036854775807")]
    [InlineData("99999999999999999999999999999999999999", "99999999999999999999999999999999999999")]
    [InlineData("1.5", "1.5")]
    [InlineData("\"\"", "\"\"")]
    [InlineData("\"a/b\"", "\"a\\/b\"")]
    [InlineData("\"é\"", "\"\\u00e9\"")]
    public void Ids_that_mean_the_same_are_equal(string left, string right)
    {
        Id(left).ShouldBe(Id(right));
        Id(left).GetHashCode().ShouldBe(Id(right).GetHashCode());
    }

    [Theory]
    [InlineData("1", "\"1\"")]
    [InlineData("9007199254740992", "9007199254740993")]
    [InlineData("1", "1.5")]
    [InlineData("\"\"", "null")]
    [InlineData("\"a\"", "\"A\"")]
    [InlineData("\"\\ud800\"", "\"\\ud801\"")]
    public void Ids_that_mean_something_else_are_not(string left, string right) => Id(left).ShouldNotBe(Id(right));

    [Theory]
    [InlineData("0")]
    [InlineData("-0")]
    [InlineData("1.0")]
    [InlineData("-9223372036854775808")]
    [InlineData("123456789012345678901234567890")]
    [InlineData("\"\\u0041\"")]
    [InlineData("null")]
    public void The_text_survives(string text) => Id(text).Detach().ToString().ShouldBe(text);

    [Theory]
    [InlineData("")]
    [InlineData("true")]
    [InlineData("{}")]
    public void Other_values_are_no_ids(string text) => Id(text).IsNone.ShouldBeTrue();

    private static JsonRpcId Id(string text) => JsonRpcId.FromJson(Encoding.UTF8.GetBytes(text));
}
