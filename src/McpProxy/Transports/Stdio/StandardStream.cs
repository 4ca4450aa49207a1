using System.Runtime.Versioning;
using McpProxy.Transports.Polling;
using Microsoft.Win32.SafeHandles;

namespace McpProxy.Transports.Stdio;

/// <summary>This process's standard input and output on an event loop.</summary>
internal static class StandardStream
{
    /// <summary>
    /// Puts one on a loop. The parent may share what it stands for, so that it must not be made non-blocking: a pipe is opened anew, and a
    /// socket asked not to wait each time.
    /// </summary>
    /// <param name="descriptor">0 or 1.</param>
    /// <param name="access">What it is for.</param>
    /// <param name="loop">The loop.</param>
    /// <returns>Null where it is neither a pipe nor a socket, or cannot be opened anew.</returns>
    [SupportedOSPlatform("linux")]
    public static DescriptorStream? TryOpen(int descriptor, FileAccess access, EventLoop loop)
    {
        try
        {
            var path = $"/proc/self/fd/{descriptor}";
            var kind = new FileInfo(path).LinkTarget ?? "";
            return kind.StartsWith("socket:", StringComparison.Ordinal) ? new(loop, new SafeFileHandle(descriptor, ownsHandle: false), isSocket: true)
                : kind.StartsWith("pipe:", StringComparison.Ordinal) ? OpenAnew(path, access, loop)
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is used as it is.
            return null;
        }
    }

    [SupportedOSPlatform("linux")]
    private static DescriptorStream OpenAnew(string pipe, FileAccess access, EventLoop loop)
    {
        var handle = Libc.OpenNonBlocking(pipe, access);
        try
        {
            return new(loop, handle);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }
}
