using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace McpProxy.Transports.Stdio;

/// <summary>A child in a job object of its own, which ends with this process or with <see cref="Kill"/>, and all that the child started with it.</summary>
[SupportedOSPlatform("windows")]
internal sealed partial class WindowsChildProcess : ChildProcess
{
    private readonly Process _process;
    private readonly SafeFileHandle _job;

    private WindowsChildProcess(Process process, SafeFileHandle job)
    {
        _process = process;
        _job = job;
        Exited = WaitAsync(process);
    }

    public override int Id => _process.Id;

    public override Stream Input => _process.StandardInput.BaseStream;

    public override Stream Output => _process.StandardOutput.BaseStream;

    public override Stream Error => _process.StandardError.BaseStream;

    public override Task<int> Exited { get; }

    public override bool GroupIsAlive => !Exited.IsCompleted;

    public static WindowsChildProcess Start(string file, StdioUpstreamOptions options, IReadOnlyDictionary<string, string> environment)
    {
        var start = new ProcessStartInfo
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            CreateNoWindow = true,
            UseShellExecute = false,
            WorkingDirectory = options.WorkingDirectory ?? "",
        };
        if (Path.GetExtension(file).ToLowerInvariant() is ".cmd" or ".bat")
        {
            // A batch file can only be run by the command processor; the command line below keeps it from reading anything into the arguments.
            start.FileName = environment.TryGetValue("COMSPEC", out var shell) ? shell : "cmd.exe";
            start.Arguments = BatchCommandLine.Build(file, options.Arguments);
        }
        else
        {
            start.FileName = file;
            foreach (var argument in options.Arguments)
            {
                start.ArgumentList.Add(argument);
            }
        }

        start.Environment.Clear();
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        var job = CreateJob();
        try
        {
            var process = Process.Start(start) ?? throw new ChildStartException($"cannot start \"{options.Command}\"");
            if (!Native.AssignProcessToJobObject(job, process.SafeHandle))
            {
                process.Kill(entireProcessTree: true);
                throw new ChildStartException($"cannot start \"{options.Command}\" in a job: {Marshal.GetLastPInvokeErrorMessage()}");
            }

            return new(process, job);
        }
        catch (Win32Exception e)
        {
            job.Dispose();
            throw new ChildStartException($"cannot start \"{options.Command}\" ({file}): {e.Message}");
        }
    }

    /// <summary>Windows has no SIGTERM for a process without a window: the closed input was the request to leave.</summary>
    public override void Terminate() => Kill();

    public override void Kill() => _ = Native.TerminateJobObject(_job, 1);

    public override ValueTask DisposeAsync()
    {
        // The job ends everything in it when its last handle closes.
        _job.Dispose();
        _process.Dispose();
        return ValueTask.CompletedTask;
    }

    private static async Task<int> WaitAsync(Process process)
    {
        await process.WaitForExitAsync();
        return process.ExitCode;
    }

    private static unsafe SafeFileHandle CreateJob()
    {
        var job = Native.CreateJobObject(null, null);
        var limits = default(Native.ExtendedLimits);
        limits.LimitFlags = Native.KillOnJobClose;
        if (job.IsInvalid || !Native.SetInformationJobObject(job, Native.ExtendedLimitInformation, &limits, (uint)sizeof(Native.ExtendedLimits)))
        {
            throw new ChildStartException($"cannot create a job object: {Marshal.GetLastPInvokeErrorMessage()}");
        }

        return job;
    }

    private static unsafe partial class Native
    {
        public const int ExtendedLimitInformation = 9;
        public const uint KillOnJobClose = 0x2000;

        [LibraryImport("kernel32", EntryPoint = "CreateJobObjectW", SetLastError = true)]
        public static partial SafeFileHandle CreateJobObject(void* attributes, char* name);

        [LibraryImport("kernel32", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool SetInformationJobObject(SafeFileHandle job, int kind, void* information, uint length);

        [LibraryImport("kernel32", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool AssignProcessToJobObject(SafeFileHandle job, SafeProcessHandle process);

        [LibraryImport("kernel32", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        public static partial bool TerminateJobObject(SafeFileHandle job, uint exitCode);

        /// <summary>JOBOBJECT_EXTENDED_LIMIT_INFORMATION; only the flags are used.</summary>
        [StructLayout(LayoutKind.Sequential)]
        public struct ExtendedLimits
        {
            public long PerProcessUserTimeLimit;
            public long PerJobUserTimeLimit;
            public uint LimitFlags;
            public nuint MinimumWorkingSetSize;
            public nuint MaximumWorkingSetSize;
            public uint ActiveProcessLimit;
            public nuint Affinity;
            public uint PriorityClass;
            public uint SchedulingClass;
            public ulong ReadOperationCount;
            public ulong WriteOperationCount;
            public ulong OtherOperationCount;
            public ulong ReadTransferCount;
            public ulong WriteTransferCount;
            public ulong OtherTransferCount;
            public nuint ProcessMemoryLimit;
            public nuint JobMemoryLimit;
            public nuint PeakProcessMemoryUsed;
            public nuint PeakJobMemoryUsed;
        }
    }
}
