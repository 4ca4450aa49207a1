using McpProxy.Cli.Memory;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Cli.Memory;

public sealed class CleanMappingsTests
{
    private const string Program = "/opt/my tools/mcp-proxy";

    [Theory]
    [InlineData("r-xp")]
    [InlineData("r--p")]
    public void Code_and_constants_are_found(string access) =>
        CleanMappings.Of(Mapping("55d0c0a00000-55d0c0b00000", access, Program), Program).ShouldBe([new(unchecked((nuint)0x55d0c0a00000), 0x100000)]);

    [Theory]
    [InlineData("rw-p", Program, "0 kB", "0 kB")]
    [InlineData("r--s", Program, "0 kB", "0 kB")]
    [InlineData("---p", Program, "0 kB", "0 kB")]
    [InlineData("r-xp", "/lib/libc.so.6", "0 kB", "0 kB")]
    [InlineData("r--p", Program, "4 kB", "0 kB")]
    [InlineData("r--p", Program, "0 kB", "4 kB")]
    public void What_is_writable_or_shared_or_another_file_or_was_written_to_is_not(string access, string path, string anonymous, string swap) =>
        CleanMappings.Of(Mapping("1000-2000", access, path, anonymous, swap), Program).ShouldBeEmpty();

    [Fact]
    public void A_mapping_of_which_too_little_is_said_is_left_alone() =>
        CleanMappings.Of([$"1000-2000 r-xp 00000000 08:01 42 {Program}", "Size: 4 kB", "Anonymous: 0 kB"], Program).ShouldBeEmpty();

    [Fact]
    public void One_mapping_says_nothing_about_the_next()
    {
        string[] smaps =
        [
            .. Mapping("1000-2000", "r--p", Program),
            .. Mapping("2000-4000", "r-xp", Program),
            .. Mapping("4000-5000", "r--p", Program, anonymous: "4 kB"),
            .. Mapping("5000-6000", "rw-p", ""),
        ];
        CleanMappings.Of(smaps, Program).ShouldBe([new(0x1000, 0x1000), new(0x2000, 0x2000)]);
    }

    [Fact]
    public void This_process_can_be_read()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Linux only");
        var program = File.ResolveLinkTarget("/proc/self/exe", returnFinalTarget: false)!.FullName;
        CleanMappings.Of(File.ReadLines("/proc/self/smaps"), program).ShouldNotBeEmpty();
    }

    private static string[] Mapping(string range, string access, string path, string anonymous = "0 kB", string swap = "0 kB") =>
    [
        $"{range} {access} 00001000 08:01 1234                       {path}",
        "Size:               1024 kB",
        "Rss:                 900 kB",
        "Private_Dirty:         0 kB",
        $"Anonymous:       {anonymous}",
        $"Swap:            {swap}",
        "VmFlags: rd ex mr mw me",
    ];
}
