using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace McpProxy.Transports.Polling;

/// <summary>The system's <c>struct epoll_event</c>, which is packed on x86-64 and nowhere else.</summary>
internal static unsafe class EpollEntry
{
    /// <summary>The most that one takes, in bytes.</summary>
    public const int MaxSize = 16;

    private static int DataOffset => RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;

    private static int Size => DataOffset + sizeof(ulong);

    /// <summary>Writes one.</summary>
    public static void Write(byte* entry, EpollEvents events, int slot)
    {
        Unsafe.WriteUnaligned(entry, (uint)events);
        Unsafe.WriteUnaligned(entry + DataOffset, (long)slot);
    }

    /// <summary>Reads one of an array.</summary>
    public static (EpollEvents Events, int Slot) Read(byte* entries, int index)
    {
        var entry = entries + (index * Size);
        return ((EpollEvents)Unsafe.ReadUnaligned<uint>(entry), (int)Unsafe.ReadUnaligned<long>(entry + DataOffset));
    }
}
