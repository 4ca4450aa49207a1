using System.Diagnostics;
using System.Runtime.InteropServices;

namespace McpProxy.SideBySide;

/// <summary>What a run was made on and with.</summary>
internal static class Machine
{
    public static async Task<IReadOnlyDictionary<string, string>> DescribeAsync(HarnessOptions options, CancellationToken cancellationToken)
    {
        var text = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["cpu"] = (await ReadAsync("/proc/cpuinfo", cancellationToken)).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? "unknown",
            ["cpus"] = $"{Environment.ProcessorCount}",
            ["memory"] = (await ReadAsync("/proc/meminfo", cancellationToken)).FirstOrDefault()?.Split(':', 2)[1].Trim() ?? "unknown",
            ["system"] = $"{RuntimeInformation.OSDescription} {RuntimeInformation.OSArchitecture}",
            ["load"] = (await ReadAsync("/proc/loadavg", cancellationToken)).FirstOrDefault() ?? "unknown",
            ["commit"] = await FirstLineAsync("git", ["-C", options.Root, "describe", "--always", "--dirty"], cancellationToken),
            ["mcp-proxy"] = await FirstLineAsync(options.Proxy, ["--version"], cancellationToken),
            ["mcp-proxy bytes"] = $"{new FileInfo(options.Proxy).Length}",
            ["cc"] = await FirstLineAsync("cc", ["--version"], cancellationToken),
            ["node"] = await FirstLineAsync("node", ["--version"], cancellationToken),
        };
        return text;
    }

    /// <summary>What a program prints, or nothing when it is not there.</summary>
    public static async Task<string> OutputAsync(string program, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false })!;
            var output = await process.StandardOutput.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return output;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "";
        }
    }

    private static async Task<string> FirstLineAsync(string program, IReadOnlyList<string> arguments, CancellationToken cancellationToken) =>
        (await OutputAsync(program, arguments, cancellationToken)).Split('\n', 2)[0].Trim();

    private static async Task<string[]> ReadAsync(string file, CancellationToken cancellationToken) =>
        File.Exists(file) ? await File.ReadAllLinesAsync(file, cancellationToken) : [];
}
