using System.ComponentModel;
using System.Runtime.InteropServices;

namespace McpProxy.EndToEnd.Tests.Programs;

/// <summary>Signals, which .NET can receive but not send.</summary>
internal static partial class PosixSignals
{
    public const int Interrupt = 2;
    public const int Kill = 9;
    public const int Terminate = 15;

    public static void Send(int processId, int signal)
    {
        if (SendTo(processId, signal) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }
    }

    /// <summary>Waits until a process that is not our child has gone; for that there is no event.</summary>
    public static async Task GoneAsync(int processId, string what)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        await Poll().Within($"the end of {what} (process {processId})");

        async Task Poll()
        {
            while (IsAlive(processId))
            {
                await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
            }
        }
    }

    public static bool IsAlive(int processId) => SendTo(processId, 0) == 0 && !IsZombie(processId);

    /// <summary>Where nobody collects orphans (a container without an init), the dead stay listed.</summary>
    private static bool IsZombie(int processId)
    {
        try
        {
            var status = File.ReadAllText($"/proc/{processId}/stat");
            return status[status.LastIndexOf(')')..].StartsWith(") Z", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendTo(int processId, int signal);
}
