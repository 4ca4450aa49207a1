using McpProxy.Transports.Stdio;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Stdio;

public sealed class BatchCommandLineTests
{
    [Theory]
    [InlineData("plain", "\"plain\"")]
    [InlineData("two words & more | > <", "\"two words & more | > <\"")]
    [InlineData("100%PATH%", "\"100%%cd:~,%PATH%%cd:~,%\"")]
    [InlineData("say \"hi\"", "\"say \"\"hi\"\"\"")]
    [InlineData("C:\\dir\\", "\"C:\\dir\\\\\"")]
    [InlineData("", "\"\"")]
    public void Arguments_are_quoted_so_that_the_command_processor_reads_nothing_into_them(string argument, string quoted) =>
        BatchCommandLine.Build("npx.cmd", [argument]).ShouldBe($"/d /e:on /v:off /s /c \"\"npx.cmd\" {quoted}\"");

    [Theory]
    [InlineData("a\nb")]
    [InlineData("a\rb")]
    [InlineData("a\0b")]
    public void What_no_quoting_can_carry_is_refused(string argument) =>
        Should.Throw<ChildStartException>(() => BatchCommandLine.Build("npx.cmd", [argument]));
}
