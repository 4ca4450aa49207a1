using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace McpProxy.Buffers;

/// <summary>
/// Memory for one message: from the pool of arrays, or from the operating system when it is large. A value of its own, which somebody disposes of once; of the default
/// there is nothing to give back.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "It is disposable; the rule knows classes only")]
internal readonly struct RentedMemory : IDisposable
{
    /// <summary>The largest that is pooled.</summary>
    public const int MaxPooled = 64 * 1024;

    private readonly byte[]? _pooled;
    private readonly SystemMemory? _large;

    /// <param name="length">How many bytes, at least; what stands in them is undefined.</param>
    public RentedMemory(int length)
    {
        if (length > MaxPooled)
        {
            _large = new(length);
        }
        else
        {
            _pooled = ArrayPool<byte>.Shared.Rent(length);
        }
    }

    /// <summary>The memory.</summary>
    public Memory<byte> Memory => _large is not null ? _large.Memory : _pooled;

    /// <summary>Whether it was too large for the pool.</summary>
    public bool IsLarge => _large is not null;

    /// <summary>Gives it back.</summary>
    public void Dispose()
    {
        if (_pooled is not null)
        {
            ArrayPool<byte>.Shared.Return(_pooled);
        }

        (_large as IDisposable)?.Dispose();
    }
}
