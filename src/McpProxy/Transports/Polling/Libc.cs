using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace McpProxy.Transports.Polling;

/// <summary>The calls of Linux that this room needs, and what their errors are in .NET.</summary>
[SupportedOSPlatform("linux")]
internal static unsafe partial class Libc
{
    /// <summary>The same number for whatever makes a descriptor, as is the next one.</summary>
    public const int CloseOnExec = 0x80000;

    public const int NonBlocking = 0x800;
    public const int EpollAdd = 1;
    public const int EpollDelete = 2;
    public const int MessageDontWait = 0x40;
    public const int MessageNoSignal = 0x4000;
    public const short PollIn = 0x001;
    public const short PollOut = 0x004;

    private const int GetStatusFlags = 3;
    private const int SetStatusFlags = 4;
    public const int SocketLevel = 1;
    private const int OpenForWriting = 1;

    public const int Interrupted = 4;
    public const int WouldBlock = 11;
    public const int InProgress = 115;

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int EpollCreate(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    public static partial int EpollControl(int poll, int operation, int descriptor, byte* entry);

    [LibraryImport("libc", EntryPoint = "epoll_wait")]
    public static partial int EpollWait(int poll, byte* entries, int count, int timeout);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventFd(uint value, int flags);

    /// <summary>Opens a file so that reads and writes return instead of waiting.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static SafeFileHandle OpenNonBlocking(string path, FileAccess access)
    {
        var descriptor = Open(path, NonBlocking | CloseOnExec | (access == FileAccess.Read ? 0 : OpenForWriting), 0);
        return descriptor < 0 ? throw Error("open", Marshal.GetLastPInvokeError()) : new(descriptor, ownsHandle: true);
    }

    // Variadic, too.
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    /// <summary>
    /// Makes a socket for a TCP connection, non-blocking and with what such a connection is to have. Not the runtime's: its sockets bring
    /// threads along that wait for them.
    /// </summary>
    /// <exception cref="SocketException">There can be none.</exception>
    public static SafeFileHandle NewTcpSocket(bool isIPv6, TimeSpan keepAliveAfter, TimeSpan keepAliveInterval)
    {
        const int Stream = 1;
        const int Tcp = 6;
        const int NoDelay = 1;
        const int KeepAlive = 9;
        const int KeepAliveTime = 4;
        const int KeepAliveInterval = 5;
        var socket = Socket(isIPv6 ? 10 : 2, Stream | CloseOnExec | NonBlocking, Tcp);
        if (socket < 0)
        {
            throw SocketFailure(Marshal.GetLastPInvokeError());
        }

        var handle = new SafeFileHandle(socket, ownsHandle: true);
        ReadOnlySpan<(int Level, int Name, int Value)> options =
        [
            (Tcp, NoDelay, 1), (SocketLevel, KeepAlive, 1), (Tcp, KeepAliveTime, (int)keepAliveAfter.TotalSeconds), (Tcp, KeepAliveInterval, (int)keepAliveInterval.TotalSeconds),
        ];
        foreach (var (level, name, value) in options)
        {
            var setting = value;
            if (SetSocketOption(socket, level, name, &setting, sizeof(int)) != 0)
            {
                var error = Marshal.GetLastPInvokeError();
                handle.Dispose();
                throw SocketFailure(error);
            }
        }

        return handle;
    }

    /// <summary>What became of a connection that was begun.</summary>
    /// <returns>The system's number of the error, or zero.</returns>
    public static int ErrorOf(int socket)
    {
        const int Error = 4;
        var error = 0;
        uint length = sizeof(int);
        return GetSocketOption(socket, SocketLevel, Error, &error, &length) == 0 ? error : Marshal.GetLastPInvokeError();
    }

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    public static partial int Connect(int socket, byte* address, uint length);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetSocketOption(int socket, int level, int name, int* value, uint length);

    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    private static partial int GetSocketOption(int socket, int level, int name, int* value, uint* length);

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int descriptor, byte* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(int descriptor, byte* buffer, nint count);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    public static partial nint Receive(int descriptor, byte* buffer, nint count, int flags);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    public static partial nint Send(int descriptor, byte* buffer, nint count, int flags);

    /// <summary>Whether a descriptor is ready now, or has nothing more to wait for.</summary>
    public static bool IsReady(int descriptor, short events)
    {
        var entry = new PollEntry { Descriptor = descriptor, Events = events };
        return Poll(&entry, 1, 0) != 0;
    }

    /// <summary>How many bytes written to a TCP socket the other end has not acknowledged; negative when the system does not say.</summary>
    public static int Unacknowledged(int socket)
    {
        const int OutgoingQueue = 0x5411;
        var count = 0;
        return DeviceControl(socket, OutgoingQueue, &count) == 0 ? count : -1;
    }

    /// <summary>Makes reads and writes of a pipe return instead of waiting. It holds for all who share what the descriptor stands for.</summary>
    /// <exception cref="IOException">It is no open descriptor.</exception>
    public static void SetNonBlocking(int descriptor)
    {
        var flags = Control(descriptor, GetStatusFlags, 0);
        if (flags < 0 || Control(descriptor, SetStatusFlags, flags | NonBlocking) < 0)
        {
            throw Error("fcntl", Marshal.GetLastPInvokeError());
        }
    }

    /// <summary>An error as streams throw it: the socket's error is inside.</summary>
    public static IOException Error(string what, int error)
    {
        var inner = SocketFailure(error);
        return new($"{what}: {inner.Message}", inner);
    }

    /// <summary>An error as sockets throw it.</summary>
    public static SocketException SocketFailure(int error) => new((int)SocketErrorOf(error), Marshal.GetPInvokeErrorMessage(error));

    /// <summary>What an error of the system is called for sockets.</summary>
    public static SocketError SocketErrorOf(int error) => error switch
    {
        13 => SocketError.AccessDenied,
        24 => SocketError.TooManyOpenSockets,
        32 => SocketError.Shutdown,
        98 => SocketError.AddressAlreadyInUse,
        99 => SocketError.AddressNotAvailable,
        100 => SocketError.NetworkDown,
        101 => SocketError.NetworkUnreachable,
        103 => SocketError.ConnectionAborted,
        104 => SocketError.ConnectionReset,
        110 => SocketError.TimedOut,
        111 => SocketError.ConnectionRefused,
        112 => SocketError.HostDown,
        113 => SocketError.HostUnreachable,
        _ => SocketError.SocketError,
    };

    // Variadic: on the processors that this runs on under Linux it is called like any other.
    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int descriptor, int command, int argument);

    // Variadic, too.
    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int DeviceControl(int descriptor, nuint request, int* argument);

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(PollEntry* entries, nuint count, int timeout);

    private struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
