using McpProxy.Cli.CommandLine;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Cli;

public sealed class HeaderReaderTests
{
    [Fact]
    public void Variables_are_replaced()
    {
        HeaderReader.Read(["Authorization: Bearer ${TOKEN}", "X-Empty:"], [], name => name == "TOKEN" ? "secret" : null)
            .ShouldBe([new("Authorization", "Bearer secret"), new("X-Empty", "")]);
    }

    [Fact]
    public void A_variable_that_is_not_set_is_named() =>
        Should.Throw<UsageException>(() => HeaderReader.Read(["A: ${NOT_SET}"], [], _ => null)).Message.ShouldContain("NOT_SET");

    [Theory]
    [InlineData("secret-without-a-colon")]
    [InlineData("bad name: secret")]
    [InlineData(": secret")]
    public void A_malformed_header_is_refused_without_showing_its_value(string header) =>
        Should.Throw<UsageException>(() => HeaderReader.Read([header], [], _ => null)).Message.ShouldNotContain("secret");

    [Fact]
    public void A_value_cannot_smuggle_in_another_header() =>
        Should.Throw<UsageException>(() => HeaderReader.Read(["A: ${V}"], [], _ => "x\r\nB: y"));

    [Fact]
    public void Files_have_comments_and_empty_lines()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "# comment\n\nA: 1\nB: x: y\n");
            HeaderReader.Read([], [file], _ => null).ShouldBe([new("A", "1"), new("B", "x: y")]);
        }
        finally
        {
            File.Delete(file);
        }

        Should.Throw<UsageException>(() => HeaderReader.Read([], [file], _ => null)).Message.ShouldContain("cannot be read");
    }
}
