using System.Runtime.InteropServices;

namespace McpProxy.Transports.Stdio;

/// <summary>Tells whether the other end of a pipe or socket was closed, without reading what is left in it.</summary>
internal static partial class HangUp
{
    /// <summary>Whether the other end of this file descriptor is gone. Always false where the system has no such question.</summary>
    /// <param name="descriptor">The file descriptor.</param>
    /// <param name="wait">How long to wait for it to go.</param>
    public static bool IsSeenOn(int descriptor, TimeSpan wait = default)
    {
        if (OperatingSystem.IsWindows())
        {
            return false;
        }

        // The half-closed state of a socket has a flag of its own on Linux.
        var poll = new PollDescriptor { Descriptor = descriptor, Events = OperatingSystem.IsLinux() ? ReadHangUp : (short)0 };
        return Poll(ref poll, 1, (int)wait.TotalMilliseconds) > 0 && (poll.Returned & (Error | HungUp | ReadHangUp)) != 0;
    }

    private const short Error = 0x08;
    private const short HungUp = 0x10;
    private const short ReadHangUp = 0x2000;

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(ref PollDescriptor descriptors, nuint count, int timeout);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
