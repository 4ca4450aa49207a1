using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>Processes that are not ours to wait for: the operating system tells their end to nobody but their parent.</summary>
internal static class ProcessList
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(5);

    /// <summary>Ends a process the way a crash does.</summary>
    public static void Kill(int processId)
    {
        using var process = Process.GetProcessById(processId);
        process.Kill();
    }

    /// <summary>Looks until a process is gone.</summary>
    public static async Task GoneAsync(int processId, string what, TimeSpan? bound = null)
    {
        var within = bound ?? s_soon;
        var started = Stopwatch.GetTimestamp();
        while (IsThere(processId))
        {
            if (Stopwatch.GetElapsedTime(started) > within)
            {
                Assert.Fail($"{what} (process {processId}) is still there after {within.TotalSeconds} s");
            }

            await Task.Delay(s_look);
        }
    }

    private static bool IsThere(int processId)
    {
        if (!OperatingSystem.IsLinux())
        {
            try
            {
                using var process = Process.GetProcessById(processId);
                return !process.HasExited;
            }
            catch (ArgumentException)
            {
                return false;
            }
        }

        try
        {
            // The name comes in parentheses and may itself have some; state and parent follow the last one.
            var status = File.ReadAllText($"/proc/{processId}/stat");
            var fields = status[(status.LastIndexOf(')') + 2)..].Split(' ');
            var isUnreapedOrphan = fields[0] == "Z" && int.Parse(fields[1], CultureInfo.InvariantCulture) == 1;
            return !isUnreapedOrphan;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
