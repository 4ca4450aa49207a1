using System.Buffers;
using System.Buffers.Text;
using System.Text;

namespace McpProxy.Buffers;

/// <summary>Bytes that are put together in an array of the shared pool. A value of its own: who hands it on does not use it any more.</summary>
internal struct PooledBytes : IDisposable
{
    private byte[] _array;

    /// <param name="size">How many are expected.</param>
    public PooledBytes(int size) => _array = ArrayPool<byte>.Shared.Rent(size);

    /// <summary>How many there are.</summary>
    public int Length { get; private set; }

    /// <summary>What there is.</summary>
    public readonly ReadOnlyMemory<byte> Memory => _array.AsMemory(0, Length);

    /// <summary>Forgets what there is.</summary>
    public void Clear() => Length = 0;

    /// <summary>Adds bytes.</summary>
    public void Append(scoped ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Room(bytes.Length).Span);
        Length += bytes.Length;
    }

    /// <summary>Adds a number in decimal digits.</summary>
    public void Append(long number) => AppendNumber(number, default);

    /// <summary>Adds a number in hexadecimal digits.</summary>
    public void AppendHex(long number) => AppendNumber(number, new('x'));

    /// <summary>Adds a text of a head, such as a header's name or value.</summary>
    /// <returns>False where it has a character that would end its line, or is none of ASCII.</returns>
    public bool TryAppend(string text)
    {
        if (!TryWrite(text, Room(text.Length).Span))
        {
            return false;
        }

        Length += text.Length;
        return true;
    }

    /// <summary>The same over what stands at a place already.</summary>
    public readonly bool TryReplace(int at, string text) => TryWrite(text, _array.AsSpan(at, Math.Min(text.Length, Length - at)));

    private static bool TryWrite(string text, Span<byte> destination) =>
        !text.AsSpan().ContainsAny('\r', '\n', '\0') && Ascii.FromUtf16(text, destination, out _) == OperationStatus.Done;

    /// <summary>Where more can be written; <see cref="Advance"/> says how much it was.</summary>
    public Memory<byte> Room(int count)
    {
        if (_array.Length - Length < count)
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(_array.Length * 2, Length + count));
            Memory.CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_array);
            _array = larger;
        }

        return _array.AsMemory(Length);
    }

    /// <summary>Says how much was written into the <see cref="Room"/>.</summary>
    public void Advance(int count) => Length += count;

    /// <summary>Gives the array back.</summary>
    public readonly void Dispose() => ArrayPool<byte>.Shared.Return(_array);

    private void AppendNumber(long number, StandardFormat format)
    {
        const int MostDigits = 20;
        _ = Utf8Formatter.TryFormat(number, Room(MostDigits).Span, out var digits, format);
        Length += digits;
    }
}
