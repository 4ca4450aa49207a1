using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;

namespace McpProxy.AspNetCore.Connections;

/// <summary>The calls of Linux that accepting connections and ending them takes.</summary>
[SupportedOSPlatform("linux")]
internal static unsafe partial class SocketCalls
{
    public const int NoMemory = 12;
    public const int TooManyInSystem = 23;
    public const int TooManyInProcess = 24;
    public const int NoBuffers = 105;

    private const int LingerOption = 13;
    private const int ShutdownBoth = 2;

    /// <summary>As large as the address of any family that is listened on.</summary>
    private const int MaxAddress = 128;

    /// <summary>Takes the next connection that waits.</summary>
    /// <param name="listening">The socket that listens, in non-blocking mode.</param>
    /// <param name="peer">Whose it is.</param>
    /// <param name="error">The system's number where there is none.</param>
    /// <returns>The descriptor; -1 where there is none.</returns>
    public static int Accept(int listening, out IPEndPoint? peer, out int error)
    {
        var address = stackalloc byte[MaxAddress];
        var length = MaxAddress;
        var descriptor = Accept(listening, address, &length, Libc.NonBlocking | Libc.CloseOnExec);
        error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        peer = descriptor < 0 ? null : EndPointOf(new(address, length));
        return descriptor;
    }

    /// <summary>The address that a connection came in on; null when it cannot be told.</summary>
    public static IPEndPoint? LocalEndPoint(int descriptor)
    {
        var address = stackalloc byte[MaxAddress];
        var length = MaxAddress;
        return NameOf(descriptor, address, &length) == 0 ? EndPointOf(new(address, length)) : null;
    }

    /// <summary>Says that nothing more is read or written.</summary>
    public static void Shutdown(int descriptor) => _ = Shutdown(descriptor, ShutdownBoth);

    /// <summary>Has the close that follows break the connection off: what was not sent yet never is, and the peer sees a reset.</summary>
    public static void BreakOnClose(int descriptor)
    {
        var linger = stackalloc int[2] { 1, 0 };
        _ = SetOption(descriptor, Libc.SocketLevel, LingerOption, linger, 2 * sizeof(int));
    }

    private static IPEndPoint? EndPointOf(ReadOnlySpan<byte> address)
    {
        if (address.Length < 16)
        {
            return null;
        }

        var port = (address[2] << 8) | address[3];
        return MemoryMarshal.Read<ushort>(address) switch
        {
            (ushort)AddressFamily.InterNetwork => new(new IPAddress(address.Slice(4, 4)), port),

            // The scope follows the address, in the machine's own byte order.
            _ when address.Length >= 28 => new(new IPAddress(address.Slice(8, 16), MemoryMarshal.Read<uint>(address[24..])), port),
            _ => null,
        };
    }

    [LibraryImport("libc", EntryPoint = "accept4", SetLastError = true)]
    private static partial int Accept(int descriptor, byte* address, int* length, int flags);

    [LibraryImport("libc", EntryPoint = "getsockname")]
    private static partial int NameOf(int descriptor, byte* address, int* length);

    [LibraryImport("libc", EntryPoint = "setsockopt")]
    private static partial int SetOption(int descriptor, int level, int option, void* value, int length);

    [LibraryImport("libc", EntryPoint = "shutdown")]
    private static partial int Shutdown(int descriptor, int how);
}
