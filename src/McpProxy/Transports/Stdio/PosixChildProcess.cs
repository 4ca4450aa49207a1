using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;
using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Stdio;

/// <summary>
/// A child in a process group of its own. <c>System.Diagnostics.Process</c> cannot make one on Unix, and without it the
/// processes that a launcher such as <c>npx</c> leaves behind could not be ended.
/// </summary>
[UnsupportedOSPlatform("windows")]
internal sealed partial class PosixChildProcess : ChildProcess
{
    private const int UnknownExitCode = 255;

    private readonly Stream _input;
    private readonly Stream _output;
    private readonly Stream _error;
    private readonly TaskCompletionSource<int> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _reaping = new();
    private readonly PosixSignalRegistration _childSignal;

    private PosixChildProcess(int id, Stream input, Stream output, Stream error)
    {
        Id = id;
        (_input, _output, _error) = (input, output, error);
        _childSignal = PosixSignalRegistration.Create(PosixSignal.SIGCHLD, _ => Reap());

        // It may have exited before the registration.
        Reap();
    }

    public override int Id { get; }

    public override Stream Input => _input;

    public override Stream Output => _output;

    public override Stream Error => _error;

    public override Task<int> Exited => _exited.Task;

    public override bool GroupIsAlive
    {
        get
        {
            // As the first process of a container we inherit orphans, and a dead one counts until it is reaped.
            while (_exited.Task.IsCompleted && Native.WaitPid(-Id, out _, Native.WaitNoHang) > 0)
            {
            }

            return Native.Kill(-Id, 0) == 0;
        }
    }

    public static PosixChildProcess Start(string file, StdioUpstreamOptions options, IReadOnlyDictionary<string, string> environment, EventLoops? loops = null)
    {
        // All three on one loop: a child is not read by two threads at once.
        var loop = OperatingSystem.IsLinux() ? loops?.Next() : null;
        List<ChildPipe> pipes = [];
        try
        {
            foreach (var direction in (PipeDirection[])[PipeDirection.Out, PipeDirection.In, PipeDirection.In])
            {
                pipes.Add(ChildPipe.Open(direction, loop));
            }

            var id = Spawn(file, options, environment, pipes[0].ChildsEnd, pipes[1].ChildsEnd, pipes[2].ChildsEnd);
            return new(id, pipes[0].Stream, pipes[1].Stream, pipes[2].Stream);
        }
        catch (Exception e)
        {
            pipes.ForEach(pipe => pipe.Stream.Dispose());
            if (e is IOException)
            {
                throw new ChildStartException($"cannot start \"{options.Command}\": {e.Message}");
            }

            throw;
        }
        finally
        {
            pipes.ForEach(pipe => pipe.CloseChildsEnd());
        }
    }

    /// <summary>Starts a program that outlives this one: it shares nothing with it, not even its standard streams.</summary>
    public static PosixChildProcess StartDetached(string file, StdioUpstreamOptions options, IReadOnlyDictionary<string, string> environment)
    {
        using var nothing = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var handle = (int)nothing.DangerousGetHandle();
        return new(Spawn(file, options, environment, handle, handle, handle), Stream.Null, Stream.Null, Stream.Null);
    }

    public override void Terminate() => Signal(Native.SigTerm);

    public override void Kill() => Signal(Native.SigKill);

    public override async ValueTask DisposeAsync()
    {
        _childSignal.Dispose();
        await _input.DisposeAsync();
        await _output.DisposeAsync();
        await _error.DisposeAsync();
    }

    private void Signal(int signal)
    {
        // Under the lock of the reaping: once the child is reaped, only a group that still has members can be meant.
        lock (_reaping)
        {
            if (!_exited.Task.IsCompleted || GroupIsAlive)
            {
                _ = Native.Kill(-Id, signal);
            }
        }
    }

    private void Reap()
    {
        lock (_reaping)
        {
            if (_exited.Task.IsCompleted)
            {
                return;
            }

            var reaped = Native.WaitPid(Id, out var status, Native.WaitNoHang);
            if (reaped == -1 && Marshal.GetLastPInvokeError() == Native.NoChild)
            {
                // Whoever started us has children reaped unseen (SIGCHLD ignored): it is gone, and how is not to be known.
                _exited.TrySetResult(UnknownExitCode);
                return;
            }

            if (reaped != Id)
            {
                return;
            }

            var signal = status & 0x7f;
            _exited.TrySetResult(signal == 0 ? (status >> 8) & 0xff : 128 + signal);
        }
    }

    private static unsafe int Spawn(
        string file,
        StdioUpstreamOptions options,
        IReadOnlyDictionary<string, string> environment,
        int input,
        int output,
        int error)
    {
        // Larger than posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t are anywhere.
        const int OpaqueSize = 1024;
        var attributes = stackalloc byte[OpaqueSize];
        var actions = stackalloc byte[OpaqueSize];
        var signals = stackalloc byte[OpaqueSize];
        var arguments = new NativeStrings([options.Command, .. options.Arguments]);
        var variables = new NativeStrings([.. environment.Select(entry => $"{entry.Key}={entry.Value}")]);
        Check(Native.SpawnAttributesInit(attributes));
        Check(Native.SpawnActionsInit(actions));
        try
        {
            Check(Native.SpawnActionsDup2(actions, input, 0));
            Check(Native.SpawnActionsDup2(actions, output, 1));
            Check(Native.SpawnActionsDup2(actions, error, 2));
            if (options.WorkingDirectory is { } folder)
            {
                Check(Native.SpawnActionsChangeDirectory(actions, Path.GetFullPath(folder)));
            }

            // The runtime ignores SIGPIPE and would pass that on; a child starts with every signal at its default.
            _ = Native.SignalSetFill(signals);
            Check(Native.SpawnAttributesSetDefaultSignals(attributes, signals));
            _ = Native.SignalSetEmpty(signals);
            Check(Native.SpawnAttributesSetSignalMask(attributes, signals));
            Check(Native.SpawnAttributesSetGroup(attributes, 0));
            Check(Native.SpawnAttributesSetFlags(attributes, Native.SpawnSetGroup | Native.SpawnSetSignalDefaults | Native.SpawnSetSignalMask));

            var result = Native.Spawn(out var id, file, actions, attributes, arguments.Pointers, variables.Pointers);
            return result == 0 ? id : throw new ChildStartException($"cannot start \"{options.Command}\" ({file}): {Marshal.GetPInvokeErrorMessage(result)}");
        }
        finally
        {
            _ = Native.SpawnActionsDestroy(actions);
            _ = Native.SpawnAttributesDestroy(attributes);
            arguments.Free();
            variables.Free();
        }

        void Check(int result)
        {
            if (result != 0)
            {
                throw new ChildStartException($"cannot start \"{options.Command}\": {Marshal.GetPInvokeErrorMessage(result)}");
            }
        }
    }

    /// <summary>A null-terminated array of C strings.</summary>
    private readonly unsafe struct NativeStrings
    {
        private readonly int _count;

        public NativeStrings(IReadOnlyList<string> strings)
        {
            _count = strings.Count;
            Pointers = (byte**)NativeMemory.Alloc((nuint)(_count + 1), (nuint)sizeof(byte*));
            for (var i = 0; i < _count; i++)
            {
                var bytes = Encoding.UTF8.GetBytes(strings[i]);
                Pointers[i] = (byte*)NativeMemory.Alloc((nuint)bytes.Length + 1);
                bytes.CopyTo(new Span<byte>(Pointers[i], bytes.Length));
                Pointers[i][bytes.Length] = 0;
            }

            Pointers[_count] = null;
        }

        public byte** Pointers { get; }

        public void Free()
        {
            for (var i = 0; i < _count; i++)
            {
                NativeMemory.Free(Pointers[i]);
            }

            NativeMemory.Free(Pointers);
        }
    }

    private static unsafe partial class Native
    {
        public const int SigKill = 9;
        public const int SigTerm = 15;
        public const int WaitNoHang = 1;
        public const int NoChild = 10;
        public const short SpawnSetGroup = 0x02;
        public const short SpawnSetSignalDefaults = 0x04;
        public const short SpawnSetSignalMask = 0x08;

        [LibraryImport("libc", EntryPoint = "kill")]
        public static partial int Kill(int id, int signal);

        [LibraryImport("libc", EntryPoint = "waitpid", SetLastError = true)]
        public static partial int WaitPid(int id, out int status, int options);

        [LibraryImport("libc", EntryPoint = "sigfillset")]
        public static partial int SignalSetFill(byte* set);

        [LibraryImport("libc", EntryPoint = "sigemptyset")]
        public static partial int SignalSetEmpty(byte* set);

        [LibraryImport("libc", EntryPoint = "posix_spawn", StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Spawn(out int id, string path, byte* actions, byte* attributes, byte** arguments, byte** environment);

        [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
        public static partial int SpawnAttributesInit(byte* attributes);

        [LibraryImport("libc", EntryPoint = "posix_spawnattr_destroy")]
        public static partial int SpawnAttributesDestroy(byte* attributes);

        [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
        public static partial int SpawnAttributesSetFlags(byte* attributes, short flags);

        [LibraryImport("libc", EntryPoint = "posix_spawnattr_setpgroup")]
        public static partial int SpawnAttributesSetGroup(byte* attributes, int group);

        [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
        public static partial int SpawnAttributesSetDefaultSignals(byte* attributes, byte* signals);

        [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
        public static partial int SpawnAttributesSetSignalMask(byte* attributes, byte* signals);

        [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
        public static partial int SpawnActionsInit(byte* actions);

        [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
        public static partial int SpawnActionsDestroy(byte* actions);

        [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
        public static partial int SpawnActionsDup2(byte* actions, int from, int to);

        [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addchdir_np", StringMarshalling = StringMarshalling.Utf8)]
        public static partial int SpawnActionsChangeDirectory(byte* actions, string path);
    }
}
