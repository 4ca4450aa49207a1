using System.Buffers;
using System.Runtime.InteropServices;

namespace McpProxy.Buffers;

/// <summary>
/// Memory that the operating system lends for one large message and has back when it is given back, but for a little that is kept for the next one. On the
/// heap it would stay for long: pools keep large arrays for a minute and more, and what they let go of waits for a collection. Pages that nothing was
/// written to cost nothing.
/// </summary>
/// <remarks>Nobody gives back what is forgotten: who takes it disposes of it, and of nothing that somebody still reads.</remarks>
internal sealed unsafe class SystemMemory : MemoryManager<byte>
{
    private readonly int _length;
    private readonly bool _isMapped;
    private readonly Lock _gate = new();
    private byte* _start;
    private int _pins;
    private bool _isGivenBack;

    /// <param name="length">How many bytes; what stands in them is undefined.</param>
    /// <exception cref="OutOfMemoryException">There is not that much.</exception>
    public SystemMemory(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        _length = length;
        _start = OperatingSystem.IsLinux() ? SpareMemory.Take(length) : null;
        _isMapped = _start is not null;
        _start = _isMapped ? _start : (byte*)NativeMemory.Alloc((nuint)length);
    }

    public override Span<byte> GetSpan()
    {
        ObjectDisposedException.ThrowIf(_isGivenBack, this);
        return new(_start, _length);
    }

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isGivenBack, this);
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_length, nameof(elementIndex));
            _pins++;
            return new(_start + elementIndex, default, this);
        }
    }

    public override void Unpin()
    {
        lock (_gate)
        {
            _pins--;
            ReleaseWhenUnused();
        }
    }

    /// <summary>Gives the memory back; where the operating system is still reading or writing in it, once that is over.</summary>
    protected override void Dispose(bool disposing)
    {
        lock (_gate)
        {
            _isGivenBack = true;
            ReleaseWhenUnused();
        }
    }

    private void ReleaseWhenUnused()
    {
        if (!_isGivenBack || _pins > 0 || _start is null)
        {
            return;
        }

        if (_isMapped && OperatingSystem.IsLinux())
        {
            SpareMemory.Give(_start, _length);
        }
        else
        {
            NativeMemory.Free(_start);
        }

        _start = null;
    }
}
