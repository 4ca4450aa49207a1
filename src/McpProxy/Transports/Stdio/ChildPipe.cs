using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;
using Microsoft.Win32.SafeHandles;

namespace McpProxy.Transports.Stdio;

/// <summary>A pipe between this process and a child that is about to be started.</summary>
[UnsupportedOSPlatform("windows")]
internal sealed partial class ChildPipe
{
    private readonly SafeHandle? _childsEnd;
    private readonly AnonymousPipeServerStream? _pipe;

    private ChildPipe(Stream stream, SafeHandle? childsEnd, AnonymousPipeServerStream? pipe)
    {
        Stream = stream;
        _childsEnd = childsEnd;
        _pipe = pipe;
    }

    /// <summary>Our end.</summary>
    public Stream Stream { get; }

    /// <summary>The descriptor of the child's end; good until <see cref="CloseChildsEnd"/>.</summary>
    public int ChildsEnd => (int)(_childsEnd ?? _pipe!.ClientSafePipeHandle).DangerousGetHandle();

    /// <summary>Makes a pipe.</summary>
    /// <param name="direction">The direction, as this process sees it.</param>
    /// <param name="loop">The loop that our end is put on; the runtime's own engine looks after it when null.</param>
    /// <exception cref="IOException">The system has no more descriptors.</exception>
    public static ChildPipe Open(PipeDirection direction, EventLoop? loop)
    {
        if (OperatingSystem.IsLinux() && loop is not null)
        {
            return OpenOn(loop, direction);
        }

        var pipe = new AnonymousPipeServerStream(direction, HandleInheritability.None);
        return new(pipe, null, pipe);
    }

    /// <summary>The child has its own copy now: with ours the end of the stream would never be seen.</summary>
    public void CloseChildsEnd()
    {
        _childsEnd?.Dispose();
        _pipe?.DisposeLocalCopyOfClientHandle();
    }

    [SupportedOSPlatform("linux")]
    private static unsafe ChildPipe OpenOn(EventLoop loop, PipeDirection direction)
    {
        var ends = stackalloc int[2];
        if (MakePipe(ends, Libc.CloseOnExec) != 0)
        {
            throw Libc.Error("pipe", Marshal.GetLastPInvokeError());
        }

        var readEnd = new SafeFileHandle(ends[0], ownsHandle: true);
        var writeEnd = new SafeFileHandle(ends[1], ownsHandle: true);
        var (ours, childs) = direction == PipeDirection.In ? (readEnd, writeEnd) : (writeEnd, readEnd);
        try
        {
            // Our end alone: the two ends have their modes apart.
            Libc.SetNonBlocking((int)ours.DangerousGetHandle());
            return new(new DescriptorStream(loop, ours), childs, null);
        }
        catch
        {
            ours.Dispose();
            childs.Dispose();
            throw;
        }
    }

    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    private static unsafe partial int MakePipe(int* ends, int flags);
}
