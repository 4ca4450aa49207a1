using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>What a command gets to see of the world.</summary>
public sealed class ChildEnvironmentTests(ITestOutputHelper output) : EndToEndTest(output)
{
    private const string OwnSecret = "MCP_PROXY_CLIENT_SECRET";
    private const string Secret = "SOMEBODYS_SECRET";

    [Theory]
    [InlineData("-e", "KEY", "some value")]
    [InlineData("-e", "KEY=some value")]
    [InlineData("--env", "KEY", "some value")]
    [InlineData("--env", "KEY=some value")]
    [InlineData("--env=KEY=some value")]
    [InlineData("-e", "KEY", "first", "-e", "KEY", "some value")]
    public async Task Variable_reaches_the_command(params string[] words) =>
        (await AskAsync(words, "environment", new { name = "KEY" })).ShouldBe("=some value");

    [Fact]
    public async Task Value_may_have_equals_signs() =>
        (await AskAsync(["-e", "KEY", "a=b=c"], "environment", new { name = "KEY" })).ShouldBe("=a=b=c");

    [Fact]
    public async Task Secrets_stay_with_the_proxy() =>
        (await AskAsync([], "environment", new { name = Secret })).ShouldBe("unset");

    [Fact]
    public async Task Everything_is_passed_when_asked_for() =>
        (await AskAsync(["--pass-environment"], "environment", new { name = Secret })).ShouldBe("=keep");

    [Fact]
    public async Task What_is_meant_for_the_proxy_is_not_passed_even_then() =>
        (await AskAsync(["--pass-environment"], "environment", new { name = OwnSecret })).ShouldBe("unset");

    [Fact]
    public async Task Path_is_always_passed() =>
        (await AskAsync([], "environment", new { name = "PATH" })).ShouldBe($"={Environment.GetEnvironmentVariable("PATH")}");

    [Fact]
    public async Task Command_runs_in_the_given_folder()
    {
        var folder = Directory.CreateTempSubdirectory("mcp-proxy-cwd-");
        try
        {
            (await AskAsync(["--cwd", folder.FullName], "working_directory", null)).ShouldBe(folder.FullName);
        }
        finally
        {
            folder.Delete();
        }
    }

    [Fact]
    public async Task Command_runs_where_the_proxy_runs_otherwise() =>
        (await AskAsync([], "working_directory", null)).ShouldBe(Environment.CurrentDirectory);

    [Fact]
    public async Task Folder_that_does_not_exist_is_reported()
    {
        var proxy = Own(Proxy.Start(["--cwd", "/no/such/folder", "--", "cat"]));

        (await proxy.ExitAsync()).ShouldBe(1);

        proxy.Errors.ToString().ShouldContain("/no/such/folder");
    }

    private async Task<string> AskAsync(string[] words, string tool, object? arguments)
    {
        var proxy = Own(Proxy.Start([.. words, .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)], new Dictionary<string, string?>(StringComparer.Ordinal) { [Secret] = "keep", [OwnSecret] = "keep" }));
        await proxy.SendAsync(Messages.Initialize(1), Messages.Initialized, Messages.Call(2, tool, arguments));
        return (await proxy.AnswerAsync(2))["result"]!["content"]![0]!["text"]!.GetValue<string>();
    }
}
