using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace McpProxy.Transports.Polling;

/// <summary>What is written to a descriptor.</summary>
[SupportedOSPlatform("linux")]
internal sealed unsafe class WritingHalf(DescriptorStream stream) : Half(stream)
{
    private ReadOnlyMemory<byte> _rest;
    private bool _onlyWaits;

    /// <inheritdoc cref="DescriptorStream.WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>
    public ValueTask StartAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) => StartAsync(
        static (half, bytes) =>
        {
            var writing = (WritingHalf)half;
            writing._rest = bytes;
            writing._onlyWaits = bytes.Length == 0;
        },
        bytes,
        cancellationToken);

    /// <inheritdoc cref="DescriptorStream.Unacknowledged"/>
    public int Unacknowledged => Ask(Libc.Unacknowledged);

    /// <inheritdoc/>
    protected override int Try(out bool isDrained, out int error)
    {
        isDrained = false;
        error = 0;
        if (_onlyWaits)
        {
            if (!Libc.IsReady(Stream.Descriptor, Libc.PollOut))
            {
                error = Libc.WouldBlock;
            }

            return 0;
        }

        while (_rest.Length > 0)
        {
            fixed (byte* start = _rest.Span)
            {
                var count = Stream.IsSocket
                    ? Libc.Send(Stream.Descriptor, start, _rest.Length, Libc.MessageDontWait | Libc.MessageNoSignal)
                    : Libc.Write(Stream.Descriptor, start, _rest.Length);
                if (count < 0)
                {
                    error = Marshal.GetLastPInvokeError();
                    return NotReady;
                }

                _rest = _rest[(int)count..];
            }
        }

        return 0;
    }

    /// <inheritdoc/>
    protected override void Clear() => _rest = default;
}
