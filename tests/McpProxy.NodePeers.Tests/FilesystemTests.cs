using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests;

/// <summary>The reference file server, which cares about its arguments and about the roots of its client.</summary>
public sealed class FilesystemTests : IDisposable
{
    private const string Server = "@modelcontextprotocol/server-filesystem";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("mcp-proxy-peers-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public async Task The_roots_of_the_client_replace_the_directories_of_the_command_line()
    {
        var given = _directory.CreateSubdirectory("given");
        var root = _directory.CreateSubdirectory("root of ü & 日本");
        var file = Write(root, "from the root");
        await using var scene = new Scene();
        var proxy = await scene.ServeAsync("--", NodePackages.Node, NodePackages.Program(Server), given.FullName);

        var client = scene.LegacyClient(
            "filesystem",
            Route.StreamableHttp(proxy.StreamableHttpUrl),
            new { root = new { uri = new Uri(root.FullName).AbsoluteUri, path = root.FullName }, files = new[] { file } });

        var saw = await client.StepAsync("filesystem");
        saw.Texts("asked").ShouldBe(["roots/list"]);
        saw.Text("allowed").ShouldContain(root.FullName);
        saw.Text("allowed").ShouldNotContain(given.FullName);
        saw.Texts("texts").ShouldBe(["from the root"]);
    }

    [Fact]
    public async Task Directories_with_strange_names_arrive()
    {
        // None begins or ends with a quote: the server takes such quotes off.
        string[] names = OperatingSystem.IsWindows()
            ? ["with a space", "it's", "a&b", "$(x) %PATH% ^", "日本 ü 🎉"]
            : ["with a space", "it's", "say \"hi\" now", "a&b|c;d>e", "$(x) `y` ${HOME} %PATH%", "back\\slash", "*", "日本 ü 🎉"];
        var directories = names.Select(_directory.CreateSubdirectory).ToList();
        var files = directories.Select(directory => Write(directory, directory.Name)).ToList();
        await using var scene = new Scene();

        var client = scene.LegacyClient(
            "filesystem",
            Route.ThroughProxy(["--", NodePackages.Node, NodePackages.Program(Server), .. directories.Select(directory => directory.FullName)]),
            new { files });

        var saw = await client.StepAsync("filesystem");
        saw.Text("allowed").Split('\n').Skip(1).ShouldBe(directories.Select(directory => directory.FullName));
        saw.Texts("texts").ShouldBe(names);
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Arguments_arrive_verbatim(bool overHttp)
    {
        string[] arguments =
        [
            "", " ", "with a space", "it's", "say \"hi\"", "\"", "\\", "back\\slash\\", "\\\"", "a&b|c;d>e<f", "$(x) `y` ${HOME} %PATH% !x!", "^", "*", "~",
            "tab\there", "line\nbreak", "日本 ü 🎉", "--", "--port", "0", "-e", "KEY", "--help", "https://example.com/mcp", "@file", "[suggest]",
        ];
        string[] command = ["--", .. NodePackages.LegacyServer, .. arguments];
        await using var scene = new Scene();

        var client = scene.LegacyClient("whoami", overHttp ? Route.StreamableHttp((await scene.ServeAsync(command)).StreamableHttpUrl) : Route.ThroughProxy(command));

        (await client.StepAsync("whoami")).Texts("args").ShouldBe(arguments);
    }

    private static string Write(DirectoryInfo directory, string text)
    {
        var path = Path.Combine(directory.FullName, "file.txt");
        File.WriteAllText(path, text);
        return path;
    }
}
