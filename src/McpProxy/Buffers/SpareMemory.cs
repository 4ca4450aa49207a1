using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace McpProxy.Buffers;

/// <summary>
/// Memory mapped from the operating system, of which a little is kept for the next large message: having it filled with zeros, page by page, takes about as
/// long as all else that is done with a message of 1 MB.
/// </summary>
[SupportedOSPlatform("linux")]
internal static unsafe partial class SpareMemory
{
    /// <summary>Blocks are as large as this or a multiple of it, so that one fits the next message, too. What is not used of it costs nothing.</summary>
    private const int Unit = 4 * 1024 * 1024;

    /// <summary>How much of a spare block stays in memory, at most.</summary>
    private const int MaxResident = 2 * 1024 * 1024;

    private const int ReadAndWrite = 3;
    private const int PrivateAndAnonymous = 0x22;
    private const int NotNeeded = 4;

    /// <summary>One for a message that is being read and one for its answer: the usual client waits for that before it asks again.</summary>
    private static readonly nint[] s_spares = new nint[2];

    /// <summary>Takes memory of at least a given length, whose contents are undefined; null when there is none.</summary>
    public static byte* Take(int length)
    {
        if (length <= Unit && TakeSpare() is var spare && spare is not null)
        {
            return spare;
        }

        var start = Map(null, Whole(length), ReadAndWrite, PrivateAndAnonymous, -1, 0);
        return start == -1 ? null : (byte*)start;
    }

    /// <summary>Gives it back, with the length that was asked for.</summary>
    public static void Give(byte* start, int length)
    {
        if (length <= Unit && Advise(start + MaxResident, Unit - MaxResident, NotNeeded) == 0)
        {
            foreach (ref var spare in s_spares.AsSpan())
            {
                if (Interlocked.CompareExchange(ref spare, (nint)start, 0) == 0)
                {
                    return;
                }
            }
        }

        _ = Unmap(start, Whole(length));
    }

    /// <summary>Keeps nothing any longer, until the next large message.</summary>
    public static void Trim()
    {
        while (TakeSpare() is var spare && spare is not null)
        {
            _ = Unmap(spare, Unit);
        }
    }

    /// <summary>One of the blocks that are kept; null when there is none.</summary>
    private static byte* TakeSpare()
    {
        foreach (ref var spare in s_spares.AsSpan())
        {
            var kept = Interlocked.Exchange(ref spare, 0);
            if (kept != 0)
            {
                return (byte*)kept;
            }
        }

        return null;
    }

    private static nuint Whole(int length) => (nuint)(((long)length + Unit - 1) / Unit * Unit);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(byte* start, nuint length);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(byte* start, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(byte* start, nuint length, int advice);
}
