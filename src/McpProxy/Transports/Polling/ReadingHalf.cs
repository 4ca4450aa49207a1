using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace McpProxy.Transports.Polling;

/// <summary>What is read from a descriptor.</summary>
[SupportedOSPlatform("linux")]
internal sealed unsafe class ReadingHalf(DescriptorStream stream) : Half(stream)
{
    private static readonly Action<Half, Memory<byte>> s_prepare = static (half, buffer) => ((ReadingHalf)half)._buffer = buffer;

    private Memory<byte> _buffer;

    /// <inheritdoc cref="DescriptorStream.ReadAsync(Memory{byte}, CancellationToken)"/>
    public ValueTask<int> StartAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            var count = Start(s_prepare, buffer, cancellationToken, out var token);
            return count == NotReady ? new(this, token) : new(count);
        }
        catch (Exception e)
        {
            return ValueTask.FromException<int>(e);
        }
    }

    /// <inheritdoc cref="DescriptorStream.WaitToReadAsync"/>
    public ValueTask WaitAsync(CancellationToken cancellationToken) =>
        StartAsync(s_prepare, Memory<byte>.Empty, cancellationToken);

    /// <inheritdoc cref="DescriptorStream.HasInput"/>
    public bool HasInput => Ask(static descriptor => Libc.IsReady(descriptor, Libc.PollIn) ? 1 : 0) != 0;

    /// <inheritdoc cref="DescriptorStream.TryRead"/>
    public int TryStart(Memory<byte> buffer) => TryStart(s_prepare, buffer);

    /// <inheritdoc/>
    protected override int Try(out bool isDrained, out int error)
    {
        isDrained = false;
        error = 0;
        if (_buffer.Length == 0)
        {
            if (!TakeSeen() && !Libc.IsReady(Stream.Descriptor, Libc.PollIn))
            {
                error = Libc.WouldBlock;
            }

            return 0;
        }

        _ = TakeSeen();
        fixed (byte* start = _buffer.Span)
        {
            var count = Stream.IsSocket
                ? Libc.Receive(Stream.Descriptor, start, _buffer.Length, Libc.MessageDontWait)
                : Libc.Read(Stream.Descriptor, start, _buffer.Length);
            error = count < 0 ? Marshal.GetLastPInvokeError() : 0;
            isDrained = count > 0 && count < _buffer.Length;
            return (int)count;
        }
    }

    /// <inheritdoc/>
    protected override void Clear() => _buffer = default;
}
