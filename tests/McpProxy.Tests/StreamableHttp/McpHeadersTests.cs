using FsCheck;
using FsCheck.Fluent;
using McpProxy.Transports.StreamableHttp;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.StreamableHttp;

public sealed class McpHeadersTests
{
    [Theory]
    [InlineData("us-west1", "us-west1")]
    [InlineData("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?=")]
    [InlineData(" padded ", "=?base64?IHBhZGRlZCA=?=")]
    [InlineData("line1\nline2", "=?base64?bGluZTEKbGluZTI=?=")]
    [InlineData("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=")]
    [InlineData("", "")]
    public void Values_are_written_as_the_specification_shows(string value, string header)
    {
        McpHeaders.Encode(value).ShouldBe(header);
        McpHeaders.Decode(header).ShouldBe(value);
    }

    [Theory]
    [InlineData("=?base64?not base64?=")]
    [InlineData("=?base64?/w==?=")]
    [InlineData("caf\u00e9")]
    [InlineData("a\u0001b")]
    public void Values_that_break_the_rules_are_refused(string header) => McpHeaders.Decode(header).ShouldBeNull();

    [Fact]
    public void Every_string_survives()
    {
        Check.QuickThrowOnFailure(Prop.ForAll<UnicodeString>(value =>
            value.Get is null || value.Get.Any(char.IsSurrogate) || McpHeaders.Decode(McpHeaders.Encode(value.Get)) == value.Get));
    }
}
