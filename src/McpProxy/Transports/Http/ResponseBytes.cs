using System.Buffers;

namespace McpProxy.Transports.Http;

/// <summary>The whole body of a response, in a buffer from the shared pool that is given back when this is disposed of.</summary>
internal sealed class ResponseBytes(int expected) : IDisposable
{
    private const int FirstSize = 4096;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(Math.Max(expected, FirstSize));

    /// <summary>How many there are.</summary>
    public int Length { get; private set; }

    /// <summary>The bytes; valid until this is disposed of.</summary>
    public ReadOnlyMemory<byte> Memory => _buffer.AsMemory(0, Length);

    /// <summary>Room for the next read; at least one byte.</summary>
    public Memory<byte> Free()
    {
        if (Length == _buffer.Length)
        {
            var larger = ArrayPool<byte>.Shared.Rent(Length * 2);
            Memory.CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }

        return _buffer.AsMemory(Length);
    }

    /// <summary>Says how much of <see cref="Free"/> was filled.</summary>
    public void Filled(int count) => Length += count;

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        Length = 0;
    }
}
