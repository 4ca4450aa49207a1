using System.Buffers;
using McpProxy.JsonRpc;

namespace McpProxy.Transports.Stdio;

/// <summary>
/// Cuts a byte stream into lines of at most a given length. A longer line is passed over as it comes, keeping nothing
/// of it but the id that its sender is owed an answer for.
/// </summary>
internal sealed class LineBuffer(int maxLineLength) : IDisposable
{
    private const int SmallSize = 4096;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(SmallSize);
    private int _start;
    private int _scanned;
    private int _end;
    private EnvelopeScanner? _oversize;

    /// <summary>Room for the next read; at least one byte.</summary>
    public Memory<byte> Free()
    {
        if (_start == _end)
        {
            Reset();
        }
        else if (_end == _buffer.Length)
        {
            MakeRoom();
        }

        return _buffer.AsMemory(_end);
    }

    /// <summary>Says how much of <see cref="Free"/> was filled.</summary>
    public void Filled(int count) => _end += count;

    /// <summary>Takes the next whole line, valid until the next <see cref="Free"/>; or the fault of one that was too long.</summary>
    public bool TryTake(out ReadOnlyMemory<byte> line, out JsonRpcFault? fault)
    {
        line = default;
        fault = null;
        var newline = _buffer.AsSpan(_scanned, _end - _scanned).IndexOf((byte)'\n');
        if (newline < 0)
        {
            _scanned = _end;
            if (_oversize is null && _end - _start > maxLineLength)
            {
                _oversize = new EnvelopeScanner();
            }

            if (_oversize is not null)
            {
                _oversize.Read(_buffer.AsSpan(_start, _end - _start));
                _start = _scanned = _end;
            }

            return false;
        }

        newline += _scanned;
        var taken = _buffer.AsMemory(_start, newline - _start);
        _start = _scanned = newline + 1;
        if (_oversize is null && taken.Length <= maxLineLength)
        {
            line = taken.Span is [.., (byte)'\r'] ? taken[..^1] : taken;
            return true;
        }

        var scanner = _oversize ?? new EnvelopeScanner();
        _oversize = null;
        scanner.Read(taken.Span);
        fault = scanner.Fault(JsonRpcErrorCode.InvalidRequest, $"The message is longer than {maxLineLength} bytes (--max-message-size)");
        return true;
    }

    /// <summary>Takes what stands after the last line end, once the stream is over.</summary>
    public bool TryTakeRest(out ReadOnlyMemory<byte> line, out JsonRpcFault? fault)
    {
        if (_start == _end && _oversize is null)
        {
            line = default;
            fault = null;
            return false;
        }

        Free().Span[0] = (byte)'\n';
        Filled(1);
        return TryTake(out line, out fault);
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        _start = _scanned = _end = 0;
    }

    private void Reset()
    {
        _start = _scanned = _end = 0;
        if (_buffer.Length > SmallSize * 16)
        {
            // A large message has passed; its memory is not kept for the quiet that follows.
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = ArrayPool<byte>.Shared.Rent(SmallSize);
        }
    }

    private void MakeRoom()
    {
        var count = _end - _start;
        if (_start >= _buffer.Length / 2)
        {
            _buffer.AsSpan(_start, count).CopyTo(_buffer);
        }
        else
        {
            var larger = ArrayPool<byte>.Shared.Rent(_buffer.Length * 2);
            _buffer.AsSpan(_start, count).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }

        _scanned -= _start;
        _start = 0;
        _end = count;
    }
}
