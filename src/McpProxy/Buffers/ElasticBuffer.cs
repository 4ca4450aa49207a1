using System.Buffers;

namespace McpProxy.Buffers;

/// <summary>
/// Contiguous memory that grows with a message and shrinks when it has passed: small from the pool of arrays, large from the operating system.
/// </summary>
/// <param name="size">The size at first.</param>
internal sealed class ElasticBuffer(int size) : IDisposable
{
    /// <summary>The largest that is pooled.</summary>
    public const int MaxPooled = 64 * 1024;

    /// <summary>How large it is, at least, when it is not pooled; what is not used of it costs nothing.</summary>
    private const int FirstLarge = 4 * 1024 * 1024;

    private const int LargeFactor = 8;

    private byte[]? _pooled;
    private SystemMemory? _large;

    /// <summary>The memory.</summary>
    public Memory<byte> Memory { get; private set; }

    /// <summary>Makes the memory larger, or makes it at all.</summary>
    /// <param name="start">Where what is kept begins; it begins at 0 afterwards.</param>
    /// <param name="count">How much is kept.</param>
    /// <param name="most">More than it will ever be asked to hold.</param>
    public void Grow(int start, int count, int most = int.MaxValue)
    {
        var now = Memory.Length;
        var next = now == 0 ? size : (long)now * 2 <= MaxPooled ? now * 2 : Math.Max(FirstLarge, (long)now * LargeFactor);
        var (oldPooled, oldLarge, old) = (_pooled, _large, Memory);

        // No further than needed; but further, whatever the bound was said to be.
        Take((int)Math.Max(Math.Min(next, most), Math.Min((long)now * 2, Array.MaxLength)));
        old.Slice(start, count).CopyTo(Memory);
        Release(oldPooled, oldLarge);
    }

    /// <summary>Gives large memory back, with what is in it; small memory stays.</summary>
    public void Shrink()
    {
        if (_large is not null)
        {
            Dispose();
        }
    }

    public void Dispose()
    {
        Release(_pooled, _large);
        (_pooled, _large, Memory) = (null, null, default);
    }

    private void Take(int length)
    {
        if (length > MaxPooled)
        {
            (_pooled, _large) = (null, new(length));
            Memory = _large.Memory;
        }
        else
        {
            (_pooled, _large) = (ArrayPool<byte>.Shared.Rent(length), null);
            Memory = _pooled;
        }
    }

    private static void Release(byte[]? pooled, SystemMemory? large)
    {
        if (pooled is not null)
        {
            ArrayPool<byte>.Shared.Return(pooled);
        }

        (large as IDisposable)?.Dispose();
    }
}
