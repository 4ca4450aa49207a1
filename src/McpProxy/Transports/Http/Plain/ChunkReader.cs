namespace McpProxy.Transports.Http.Plain;

/// <summary>Where a chunked body stands (RFC 9112, section 7.1): reads what frames the chunks, in pieces of any size.</summary>
internal struct ChunkReader
{
    /// <summary>The longest line of a chunk's size with its extensions, and all the trailers there may be, in bytes.</summary>
    private const int MaxFraming = 16 * 1024;

    private Part _part;
    private long _size;
    private int _digits;
    private int _framing;
    private bool _isEmptyLine;

    /// <summary>How many bytes of the chunk are still to come.</summary>
    public long Left { get; private set; }

    /// <summary>Whether the last chunk and the trailers have passed.</summary>
    public bool IsAtEnd { get; private set; }

    /// <summary>Notes that bytes of the chunk were taken.</summary>
    public void Take(int count)
    {
        Left -= count;
        if (Left == 0)
        {
            _part = Part.AfterData;
        }
    }

    /// <summary>Reads up to the next byte of data, or the end of the body.</summary>
    /// <returns>How many bytes were read; all of them when there is nothing but framing.</returns>
    /// <exception cref="HttpIOException">It breaks the rules.</exception>
    public int Read(ReadOnlySpan<byte> bytes)
    {
        var at = 0;
        while (at < bytes.Length && Left == 0 && !IsAtEnd)
        {
            Step(bytes[at++]);
        }

        return at;
    }

    private void Step(byte next)
    {
        if (++_framing > MaxFraming)
        {
            throw Invalid("what stands between two chunks is too long");
        }

        switch (_part)
        {
            case Part.Size:
                ReadSize(next);
                break;
            case Part.Extension:
                // Extensions mean nothing here (RFC 9112, section 7.1.1).
                _part = next switch
                {
                    (byte)'\n' => throw Invalid("the line of a chunk's size ends without a carriage return"),
                    (byte)'\r' => Part.SizeEnd,
                    _ => Part.Extension,
                };
                break;
            case Part.SizeEnd:
                Expect(next, (byte)'\n', "the line of a chunk's size does not end");
                _part = _size == 0 ? Part.Trailer : Part.Data;
                Left = _size;
                (_size, _digits, _isEmptyLine) = (0, 0, true);
                _framing = Left == 0 ? _framing : 0;
                break;
            case Part.AfterData:
                Expect(next, (byte)'\r', "a chunk is longer than it said");
                _part = Part.DataEnd;
                break;
            case Part.DataEnd:
                Expect(next, (byte)'\n', "a chunk is longer than it said");
                _part = Part.Size;
                break;
            case Part.Trailer when next == '\r':
                _part = Part.TrailerEnd;
                break;
            case Part.Trailer:
                _isEmptyLine = next == '\n' ? throw Invalid("a trailer ends without a carriage return") : false;
                break;
            case Part.TrailerEnd:
                Expect(next, (byte)'\n', "a trailer has a carriage return in it");
                IsAtEnd = _isEmptyLine;
                _isEmptyLine = true;
                _part = Part.Trailer;
                break;
        }
    }

    private void ReadSize(byte next)
    {
        if (char.IsAsciiHexDigit((char)next))
        {
            var digit = next <= '9' ? next - '0' : (next | 0x20) - 'a' + 10;
            _size = ++_digits <= 15 ? (_size << 4) + digit : throw Invalid("a chunk's size is too large");
            return;
        }

        if (_digits == 0 || next is not ((byte)'\r' or (byte)';' or (byte)' ' or (byte)'\t'))
        {
            throw Invalid("a chunk has no size");
        }

        _part = next == '\r' ? Part.SizeEnd : Part.Extension;
    }

    private static void Expect(byte found, byte wanted, string otherwise)
    {
        if (found != wanted)
        {
            throw Invalid(otherwise);
        }
    }

    private static HttpIOException Invalid(string why) => new(HttpRequestError.InvalidResponse, $"the server's response is not valid HTTP: {why}");

    private enum Part
    {
        Size,
        Extension,
        SizeEnd,
        Data,
        AfterData,
        DataEnd,
        Trailer,
        TrailerEnd,
    }
}
