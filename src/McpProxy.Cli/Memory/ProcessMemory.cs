using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using McpProxy.Buffers;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.Memory;

/// <summary>The memory of this process: what the heap holds without need, and the parts of the program's file that are mapped.</summary>
/// <param name="connections">What connections hold.</param>
/// <param name="logger">Where it logs.</param>
internal sealed partial class ProcessMemory(ConnectionMemory connections, ILogger logger)
{
    private const int DontNeed = 4;

    private IReadOnlyList<MappedRange>? _program;

    /// <summary>
    /// Gives back what can be had again: free parts of the heap, and on Linux the pages of the program's own code and constants, which
    /// come back from the file (most likely from memory) when they are used.
    /// </summary>
    public void GiveBack()
    {
        // Found out before the collection, which then takes what that has cost.
        _program ??= OperatingSystem.IsLinux() ? FindProgram() : [];
        connections.Trim();
        if (OperatingSystem.IsLinux())
        {
            SpareMemory.Trim();
        }

        Collect();

        // What pools and finalizers have let go of upon that.
        GC.WaitForPendingFinalizers();
        Collect();

        // Each collection has finalizers run, whose code would come back right after it was let go of.
        GC.WaitForPendingFinalizers();
        foreach (var range in _program)
        {
            // A refusal costs nothing but the pages that stay.
            _ = Advise(range.Start, range.Length, DontNeed);
        }
    }

    private static void Collect() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);

    [SupportedOSPlatform("linux")]
    private IReadOnlyList<MappedRange> FindProgram()
    {
        try
        {
            return File.ResolveLinkTarget("/proc/self/exe", returnFinalTarget: false) is { } program
                ? CleanMappings.Of(File.ReadLines("/proc/self/smaps"), program.FullName)
                : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogUnknown(e.Message);
            return [];
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nuint start, nuint length, int advice);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The pages of the program's file stay in memory: {Reason}")]
    private partial void LogUnknown(string reason);
}
