using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>What the program tells about itself.</summary>
public sealed class InformationTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData("--help", "Usage:")]
    [InlineData("-h", "--connect-timeout")]
    [InlineData("--version", ".")]
    [InlineData("-V", ".")]
    public async Task Goes_to_standard_output(string option, string part)
    {
        var proxy = Own(Proxy.Start([option]));

        (await proxy.ExitAsync()).ShouldBe(0);

        proxy.Output.Lines.ShouldContain(line => line.Contains(part, StringComparison.Ordinal));
        proxy.Errors.Lines.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("fish")]
    [InlineData("pwsh")]
    [InlineData("zsh")]
    public async Task Completion_script_is_printed(string shell)
    {
        var proxy = Own(Proxy.Start(["completion", shell]));

        (await proxy.ExitAsync()).ShouldBe(0);

        proxy.Output.ToString().ShouldContain("[suggest:");
    }
}
