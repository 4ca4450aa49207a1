using McpProxy.Buffers;
using McpProxy.JsonRpc;

namespace McpProxy.Transports.Stdio;

/// <summary>
/// Cuts a byte stream into lines of at most a given length. A longer line is passed over as it comes, keeping nothing
/// of it but the id that its sender is owed an answer for.
/// </summary>
internal sealed class LineBuffer(int maxLineLength) : IDisposable
{
    private const int SmallSize = 4096;

    /// <summary>How many times as much must have been read as is left, for that to be moved to the front.</summary>
    private const int MoveFactor = 4;

    private readonly ElasticBuffer _buffer = new(SmallSize);
    private int _start;
    private int _scanned;
    private int _end;
    private EnvelopeScanner? _oversize;

    /// <summary>Room for the next read; at least one byte.</summary>
    public Memory<byte> Free()
    {
        if (_start == _end)
        {
            // A large message has passed; its memory is not kept for the quiet that follows.
            _start = _scanned = _end = 0;
            _buffer.Shrink();
        }
        else if (_end - _start <= _start / MoveFactor)
        {
            MoveDown();
        }

        if (_end == _buffer.Memory.Length)
        {
            // Room for a line end, and to see that a line is too long.
            _buffer.Grow(_start, _end - _start, (int)Math.Min((long)maxLineLength + SmallSize, Array.MaxLength));
            Moved();
        }

        return _buffer.Memory[_end..];
    }

    /// <summary>Says how much of <see cref="Free"/> was filled.</summary>
    public void Filled(int count) => _end += count;

    /// <summary>Takes the next whole line, valid until the next <see cref="Free"/>; or the fault of one that was too long.</summary>
    public bool TryTake(out ReadOnlyMemory<byte> line, out JsonRpcFault? fault)
    {
        line = default;
        fault = null;
        var newline = Unread(_scanned).IndexOf((byte)'\n');
        if (newline < 0)
        {
            _scanned = _end;
            if (_oversize is null && _end - _start > maxLineLength)
            {
                _oversize = new EnvelopeScanner();
            }

            if (_oversize is not null)
            {
                _oversize.Read(Unread(_start));
                _start = _scanned = _end;
            }

            return false;
        }

        newline += _scanned;
        var taken = _buffer.Memory[_start..newline];
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
        _buffer.Dispose();
        _start = _scanned = _end = 0;
    }

    private Span<byte> Unread(int from) => _buffer.Memory.Span[from.._end];

    private void MoveDown()
    {
        Unread(_start).CopyTo(_buffer.Memory.Span);
        Moved();
    }

    private void Moved()
    {
        _scanned -= _start;
        _end -= _start;
        _start = 0;
    }
}
