namespace McpProxy.EndToEnd.Tests.Programs;

/// <summary>The test server over HTTP.</summary>
public sealed class TestServer : RunningProgram
{
    private const string Announcement = "URL ";

    private TestServer(IEnumerable<string> arguments)
        : base(File, arguments, environment: null)
    {
    }

    private static string File { get; } = Dotnet.Program("mcp-test-server");

    public Uri Url { get; private set; } = null!;

    /// <summary>The words that make the proxy start the test server as its child.</summary>
    public static string[] Command(Era era) => [File, "--stdio", "--era", Word(era)];

    public static async Task<TestServer> StartAsync(Era era, int port = 0, bool resumable = false)
    {
        var server = new TestServer(["--http", "--era", Word(era), "--port", $"{port}", .. resumable ? new[] { "--resumable" } : []]);
        try
        {
            var line = await server.Output.FirstAsync("the test server's URL", line => line.StartsWith(Announcement, StringComparison.Ordinal));
            server.Url = new(line[Announcement.Length..]);
            return server;
        }
        catch (Exception e)
        {
            await server.DisposeAsync();
            throw new InvalidOperationException($"the test server did not start:\n{server.Errors}", e);
        }
    }

    /// <summary>Where a transport is served.</summary>
    public Uri At(Transport transport) => new(Url, transport == Transport.Sse ? "/sse" : "/mcp");

    private static string Word(Era era) => era switch
    {
        Era.Legacy => "legacy",
        Era.Modern => "modern",
        _ => "dual",
    };
}
