namespace McpProxy.EndToEnd.Tests.CommandLine;

/// <summary>A folder of stand-ins for the programs that command lines name: each says how it was started, and waits for its input to end.</summary>
public sealed class FakeCommands : IDisposable
{
    private const string Script = """
        #!/bin/sh
        echo "started: $(basename "$0") $*" | sed 's/ *$//' >&2
        while read -r line; do :; done
        """;

    public FakeCommands()
    {
        Folder = Directory.CreateTempSubdirectory("mcp-proxy-commands-").FullName;
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        foreach (var name in new[] { "npx", "uvx", "python", "tsx", "deno", "your-command" })
        {
            var file = Path.Combine(Folder, name);
            File.WriteAllText(file, $"{Script}\n");
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    public string Folder { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
