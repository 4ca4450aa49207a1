using System.Buffers;
using System.Buffers.Text;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;

namespace McpProxy.Transports.Http.Plain;

/// <summary>
/// Reads the head of a response (RFC 9112, sections 4, 5 and 6). What could be understood in two ways is an error: lengths that
/// contradict each other, folded lines, characters that no header may have; beside a transfer encoding a length counts for nothing.
/// </summary>
[StructLayout(LayoutKind.Auto)]
internal struct ResponseHead
{
    /// <summary>The longest head that is accepted, in bytes.</summary>
    public const int MaxLength = 64 * 1024;

    private static readonly SearchValues<byte> s_tokens = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"u8);
    private static readonly SearchValues<byte> s_forbidden = SearchValues.Create("\0\r\n"u8);

    private bool _isChunked;
    private bool _isOldVersion;
    private bool _saysClose;
    private bool _saysKeepAlive;
    private bool _isJson;
    private bool _setsCookies;

    /// <summary>How long the head itself is, in bytes.</summary>
    public int HeadLength { get; private set; }

    /// <summary>The status.</summary>
    public int Status { get; private set; }

    /// <summary>Whether this is success with JSON of known length, and nobody needs more of the head than that.</summary>
    public readonly bool IsPlainJson => Status == 200 && _isJson && !_setsCookies && Framing == BodyFraming.Length;

    /// <summary>How the body ends.</summary>
    public BodyFraming Framing { get; private set; }

    /// <summary>How long the body is, where the head says so; negative otherwise.</summary>
    public long Length { get; private set; } = -1;

    /// <summary>Whether the connection is of use after the body.</summary>
    public readonly bool KeepsAlive => Framing != BodyFraming.UntilClose && !_saysClose && (!_isOldVersion || _saysKeepAlive);

    /// <summary>How long the server keeps an idle connection, where it says so.</summary>
    public TimeSpan? IdleLimit { get; private set; }

    public ResponseHead()
    {
    }

    /// <summary>Where a head ends, with the empty line behind it.</summary>
    /// <param name="received">What has come so far.</param>
    /// <param name="scanned">How much of it was looked at before.</param>
    /// <returns>The length of the head; zero when more has to come.</returns>
    /// <exception cref="HttpRequestException">This is no response, or its head is too long.</exception>
    public static int Find(ReadOnlySpan<byte> received, int scanned)
    {
        var start = "HTTP/1."u8;
        var known = Math.Min(start.Length, received.Length);
        if (!received[..known].SequenceEqual(start[..known]))
        {
            throw Invalid("it does not begin like one");
        }

        for (var at = Math.Max(0, scanned - 2); ;)
        {
            var newline = received[at..].IndexOf((byte)'\n');
            if (newline < 0)
            {
                break;
            }

            at += newline + 1;
            var rest = received[at..];
            if (rest is [(byte)'\n', ..] or [(byte)'\r', (byte)'\n', ..])
            {
                var length = at + (rest[0] == '\n' ? 1 : 2);
                return length <= MaxLength ? length : throw TooLong();
            }
        }

        return received.Length < MaxLength ? 0 : throw TooLong();
    }

    /// <summary>The status of a whole head.</summary>
    /// <exception cref="HttpRequestException">It has none.</exception>
    public static int StatusOf(ReadOnlySpan<byte> head) =>
        head.Length > 12 && char.IsAsciiDigit((char)head[7]) && head[8] == ' ' && head[12] is (byte)' ' or (byte)'\r' or (byte)'\n'
        && Utf8Parser.TryParse(head[9..12], out uint status, out var digits) && digits == 3 && status >= 100
            ? (int)status
            : throw Invalid("its first line has no status");

    /// <summary>Reads a whole head.</summary>
    /// <param name="head">The head, with the empty line behind it.</param>
    /// <param name="isHead">Whether it answers a HEAD request.</param>
    /// <exception cref="HttpRequestException">It breaks the rules.</exception>
    public static ResponseHead Read(ReadOnlySpan<byte> head, bool isHead)
    {
        var read = new ResponseHead { HeadLength = head.Length, Status = StatusOf(head), _isOldVersion = head[7] == '0' };
        var line = NextLine(ref head);
        if (line.ContainsAny(s_forbidden))
        {
            throw Invalid("its first line has a character that it may not have");
        }

        while ((line = NextLine(ref head)).Length > 0)
        {
            read.ReadHeader(line);
        }

        read.Decide(isHead);
        return read;
    }

    /// <summary>Fills in a response, for those who need more of the head.</summary>
    /// <param name="head">The bytes that this was read from.</param>
    /// <param name="response">The response, with its content.</param>
    public readonly void CopyTo(ReadOnlySpan<byte> head, HttpResponseMessage response)
    {
        response.Version = _isOldVersion ? HttpVersion.Version10 : HttpVersion.Version11;
        response.StatusCode = (HttpStatusCode)Status;
        var line = NextLine(ref head);
        var reason = line.Length > 13 ? line[13..] : default;
        if (!Ascii.Equals(reason, response.ReasonPhrase))
        {
            response.ReasonPhrase = Encoding.Latin1.GetString(reason);
        }

        while ((line = NextLine(ref head)).Length > 0)
        {
            var (name, value) = Split(line, line.IndexOf((byte)':'));
            var text = KnownName(line[name]) ?? Encoding.ASCII.GetString(line[name]);
            var known = KnownValue(line[value]) ?? Encoding.Latin1.GetString(line[value]);
            if (!response.Headers.TryAddWithoutValidation(text, known))
            {
                response.Content.Headers.TryAddWithoutValidation(text, known);
            }
        }
    }

    private static ReadOnlySpan<byte> NextLine(ref ReadOnlySpan<byte> head)
    {
        var newline = head.IndexOf((byte)'\n');
        var line = head[..newline];
        head = head[(newline + 1)..];
        return line is [.., (byte)'\r'] ? line[..^1] : line;
    }

    private static (Range Name, Range Value) Split(ReadOnlySpan<byte> line, int colon)
    {
        var (start, end) = (colon + 1, line.Length);
        for (; start < end && line[start] is (byte)' ' or (byte)'\t'; start++)
        {
        }

        for (; end > start && line[end - 1] is (byte)' ' or (byte)'\t'; end--)
        {
        }

        return (..colon, start..end);
    }

    private void ReadHeader(ReadOnlySpan<byte> line)
    {
        if (line[0] is (byte)' ' or (byte)'\t')
        {
            throw Invalid("a header goes on in a second line");
        }

        var colon = line.IndexOf((byte)':');
        var known = colon > 0 ? KnownName(line[..colon]) : null;
        if (known is null && (colon <= 0 || line[..colon].ContainsAnyExcept(s_tokens)))
        {
            throw Invalid("a header has no name, or one with a character that no name may have");
        }

        var (nameRange, valueRange) = Split(line, colon);
        var name = line[nameRange];
        var value = line[valueRange];
        if (value.ContainsAny(s_forbidden))
        {
            throw Invalid($"the header {Encoding.ASCII.GetString(name)} has a character that no header may have");
        }

        switch (known)
        {
            case "Content-Length":
                ReadLength(value);
                break;
            case "Content-Type":
                _isJson = Ascii.EqualsIgnoreCase(value, "application/json"u8) || (value.Length > 16 && value[16] == ';' && Ascii.EqualsIgnoreCase(value[..16], "application/json"u8));
                break;
            case "Transfer-Encoding":
                _isChunked = !_isChunked && Ascii.EqualsIgnoreCase(value, "chunked"u8) ? true : throw Invalid("its transfer encoding is not chunked, or that twice");
                break;
            case "Connection":
                ReadConnection(value);
                break;
            case "Keep-Alive":
                ReadKeepAlive(value);
                break;
            case "Set-Cookie":
                _setsCookies = true;
                break;
        }
    }

    private void ReadLength(ReadOnlySpan<byte> value)
    {
        if (Length < 0 && value.Length is > 0 and < 18 && !value.ContainsAnyExceptInRange((byte)'0', (byte)'9') && Utf8Parser.TryParse(value, out long only, out _))
        {
            Length = only;
            return;
        }

        // The same length more than once is one (RFC 9110, section 8.6).
        foreach (var range in value.Split((byte)','))
        {
            var digits = value[range].Trim(" \t"u8);
            if (digits.IsEmpty || digits.ContainsAnyExceptInRange((byte)'0', (byte)'9') || !Utf8Parser.TryParse(digits, out long length, out _) || (Length >= 0 && length != Length))
            {
                throw Invalid("its Content-Length is no number, or there are different ones");
            }

            Length = length;
        }
    }

    private void ReadConnection(ReadOnlySpan<byte> value)
    {
        foreach (var range in value.Split((byte)','))
        {
            var word = value[range].Trim(" \t"u8);
            _saysClose |= Ascii.EqualsIgnoreCase(word, "close"u8);
            _saysKeepAlive |= Ascii.EqualsIgnoreCase(word, "keep-alive"u8);
        }
    }

    private void ReadKeepAlive(ReadOnlySpan<byte> value)
    {
        foreach (var range in value.Split((byte)','))
        {
            var word = value[range].Trim(" \t"u8);
            if (word.Length > 8 && Ascii.EqualsIgnoreCase(word[..8], "timeout="u8) && Utf8Parser.TryParse(word[8..], out int seconds, out var digits) && digits == word.Length - 8)
            {
                // Given up before the server does: a request that crosses its end on the way would be lost.
                IdleLimit = TimeSpan.FromSeconds(Math.Max(0, seconds - 1));
            }
        }
    }

    private void Decide(bool isHead)
    {
        if (_isChunked && (Length >= 0 || _isOldVersion))
        {
            // The encoding decides, and nothing that follows on such a connection is to be believed (RFC 9112, section 6.3).
            Length = -1;
            _saysClose = true;
        }

        Framing = isHead || Status is 204 or 304 || (Length == 0 && !_isChunked) ? BodyFraming.None
            : _isChunked ? BodyFraming.Chunked
            : Length > 0 ? BodyFraming.Length
            : BodyFraming.UntilClose;
    }

    private static string? KnownName(ReadOnlySpan<byte> name) => name.Length switch
    {
        4 when Ascii.EqualsIgnoreCase(name, "date"u8) => "Date",
        6 when Ascii.EqualsIgnoreCase(name, "server"u8) => "Server",
        10 when Ascii.EqualsIgnoreCase(name, "connection"u8) => "Connection",
        10 when Ascii.EqualsIgnoreCase(name, "keep-alive"u8) => "Keep-Alive",
        10 when Ascii.EqualsIgnoreCase(name, "set-cookie"u8) => "Set-Cookie",
        12 when Ascii.EqualsIgnoreCase(name, "content-type"u8) => "Content-Type",
        13 when Ascii.EqualsIgnoreCase(name, "cache-control"u8) => "Cache-Control",
        14 when Ascii.EqualsIgnoreCase(name, "content-length"u8) => "Content-Length",
        14 when Ascii.EqualsIgnoreCase(name, "mcp-session-id"u8) => "Mcp-Session-Id",
        17 when Ascii.EqualsIgnoreCase(name, "transfer-encoding"u8) => "Transfer-Encoding",
        _ => null,
    };

    private static string? KnownValue(ReadOnlySpan<byte> value) => value.Length switch
    {
        5 when value.SequenceEqual("close"u8) => "close",
        7 when value.SequenceEqual("chunked"u8) => "chunked",
        8 when value.SequenceEqual("no-cache"u8) => "no-cache",
        10 when value.SequenceEqual("keep-alive"u8) => "keep-alive",
        16 when value.SequenceEqual("application/json"u8) => "application/json",
        17 when value.SequenceEqual("text/event-stream"u8) => "text/event-stream",
        _ => null,
    };

    private static HttpRequestException TooLong() =>
        new(HttpRequestError.ConfigurationLimitExceeded, $"the head of the server's response is longer than {MaxLength} bytes");

    /// <summary>The error for a response that breaks the rules.</summary>
    public static HttpRequestException Invalid(string why) => new(HttpRequestError.InvalidResponse, $"the server's response is not valid HTTP: {why}");
}
