using System.Diagnostics;

namespace McpProxy.Benchmarks.Paths;

/// <summary>The echo server of the harness, serving Streamable HTTP.</summary>
internal sealed class EchoServer : IDisposable
{
    private readonly Process _process;

    public EchoServer(string program)
    {
        _process = Process.Start(new ProcessStartInfo(program, ["http", "0"]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        Url = new($"http://127.0.0.1:{_process.StandardOutput.ReadLine()}/mcp");
    }

    public Uri Url { get; }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }
}
