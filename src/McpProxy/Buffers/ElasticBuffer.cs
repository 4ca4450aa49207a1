namespace McpProxy.Buffers;

/// <summary>
/// Contiguous memory that grows with a message and shrinks when it has passed: small from the pool of arrays, large from the operating system.
/// </summary>
/// <param name="size">The size at first.</param>
internal sealed class ElasticBuffer(int size) : IDisposable
{
    /// <summary>How large it is, at least, when it is not pooled; what is not used of it costs nothing.</summary>
    private const int FirstLarge = 4 * 1024 * 1024;

    private const int LargeFactor = 8;

    private RentedMemory _rented;

    /// <summary>The memory.</summary>
    public Memory<byte> Memory { get; private set; }

    /// <summary>Makes the memory larger, or makes it at all.</summary>
    /// <param name="start">Where what is kept begins; it begins at 0 afterwards.</param>
    /// <param name="count">How much is kept.</param>
    /// <param name="most">More than it will ever be asked to hold.</param>
    public void Grow(int start, int count, int most = int.MaxValue)
    {
        var now = Memory.Length;
        var next = now == 0 ? size : (long)now * 2 <= RentedMemory.MaxPooled ? now * 2 : Math.Max(FirstLarge, (long)now * LargeFactor);
        var (rented, old) = (_rented, Memory);

        // No further than needed; but further, whatever the bound was said to be.
        _rented = new((int)Math.Max(Math.Min(next, most), Math.Min((long)now * 2, Array.MaxLength)));
        Memory = _rented.Memory;
        old.Slice(start, count).CopyTo(Memory);
        rented.Dispose();
    }

    /// <summary>Gives large memory back, with what is in it; small memory stays.</summary>
    public void Shrink()
    {
        if (_rented.IsLarge)
        {
            Dispose();
        }
    }

    public void Dispose()
    {
        _rented.Dispose();
        (_rented, Memory) = (default, default);
    }
}
