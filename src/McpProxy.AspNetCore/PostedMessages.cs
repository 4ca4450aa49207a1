using System.Buffers;
using McpProxy.Buffers;
using McpProxy.JsonRpc;

namespace McpProxy.AspNetCore;

/// <summary>
/// The messages of a POST, nearly always one, and the memory that they stand in. What is large is given back as soon as it has been passed on:
/// the answer may take long.
/// </summary>
internal sealed class PostedMessages() : List<JsonRpcMessage>(1), IDisposable
{
    private const int UnknownLength = 4096;

    private ElasticBuffer? _buffer;
    private Memory<byte> _memory;
    private int _length;

    /// <summary>How many bytes have come.</summary>
    public int Length => _length;

    /// <summary>What has come.</summary>
    public ReadOnlyMemory<byte> Utf8 => _memory[.._length];

    /// <summary>Says how many bytes will come.</summary>
    public void Expect(int length)
    {
        if (length <= RentedMemory.MaxPooled)
        {
            // Of its own, and left to the heap: small ones may be referred to for as long as anybody likes.
            _memory = new byte[length];
        }
        else
        {
            _buffer = new(length);
            _buffer.Grow(0, 0);
            _memory = _buffer.Memory;
        }
    }

    /// <summary>Takes what has come next.</summary>
    /// <param name="bytes">The bytes.</param>
    /// <param name="most">How many may come in all.</param>
    public void Append(ReadOnlySequence<byte> bytes, int most)
    {
        while (bytes.Length > _memory.Length - _length)
        {
            _buffer ??= new(UnknownLength);
            _buffer.Grow(0, _length, most);
            _memory = _buffer.Memory;
        }

        bytes.CopyTo(_memory.Span[_length..]);
        _length += (int)bytes.Length;
    }

    /// <summary>Gives the memory back. No message can be used any more.</summary>
    public void Dispose()
    {
        Clear();
        _buffer?.Dispose();
        (_buffer, _memory, _length) = (null, default, 0);
    }
}
