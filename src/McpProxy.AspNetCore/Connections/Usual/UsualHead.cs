using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using McpProxy.Telemetry;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>
/// The head of a usual request (RFC 9112, sections 2 to 6): a POST with its length, or a GET or DELETE without a body. What a client sends before each of its
/// messages is nearly the same every time, so that only the lines that differ from those of the last request are read.
/// </summary>
/// <remarks>
/// What it takes is a small part of what may come, by the letter of the grammar and with nothing to be lenient about; all else is left to who knows HTTP whole.
/// No two readers can disagree about where such a request ends.
/// </remarks>
/// <param name="targets">Who answers at which path.</param>
internal sealed class UsualHead(IReadOnlyDictionary<string, RequestDelegate> targets)
{
    private const int MostHeaders = 64;

    /// <summary>As much longer may the next head be at least without being kept elsewhere.</summary>
    private const int Spare = 64;

    private static readonly SearchValues<byte> s_token = SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"u8);
    private static readonly SearchValues<char> s_hostName = SearchValues.Create("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-.");

    /// <summary>Names that are asked for later, as the very objects that they are asked for with.</summary>
    private static readonly string[] s_known =
    [
        HeaderNames.Host, HeaderNames.Accept, HeaderNames.ContentType, HeaderNames.ContentLength, HeaderNames.Connection, HeaderNames.Origin, HeaderNames.UserAgent, HeaderNames.Authorization,
        HeaderNames.AcceptEncoding, HeaderNames.AcceptLanguage, McpHeaders.SessionId, McpHeaders.ProtocolVersion, McpHeaders.Method, McpHeaders.Name, TraceHeaders.Parent, TraceHeaders.State,
    ];

    /// <summary>The methods that there are here.</summary>
    private static readonly string[] s_methods = [HttpMethods.Post, HttpMethods.Get, HttpMethods.Delete];

    /// <summary>What changes how a request is read; with these it is no usual one.</summary>
    private static readonly string[] s_unusual = [HeaderNames.TransferEncoding, HeaderNames.Expect, HeaderNames.Upgrade, HeaderNames.TE, HeaderNames.Trailer, "HTTP2-Settings"];

    /// <summary>Where each line begins, and behind them the empty one.</summary>
    private readonly ushort[] _starts = new ushort[MostHeaders + 2];

    private byte[] _bytes = [];
    private int _length;
    private int _lineCount;

    /// <summary>The headers.</summary>
    public HeaderList Headers { get; } = new();

    /// <summary>The method.</summary>
    public string Method { get; private set; } = HttpMethods.Post;

    /// <summary>The path that is asked for.</summary>
    public string Path { get; private set; } = "";

    /// <summary>The query, with its question mark; empty where there is none.</summary>
    public string Query { get; private set; } = "";

    /// <summary>How long the body is; 0 where there is none.</summary>
    public int BodyLength { get; private set; }

    /// <summary>Who answers.</summary>
    public RequestDelegate Target { get; private set; } = static _ => Task.CompletedTask;

    /// <summary>Whether what has come may become a usual request: nobody is to wait here for the rest of another.</summary>
    /// <param name="begun">The first bytes of one, without the end of its head.</param>
    public bool MayBecomeUsual(ReadOnlySpan<byte> begun)
    {
        var isFirst = true;
        int end;
        for (; (end = begun.IndexOf((byte)'\n')) >= 0; begun = begun[(end + 1)..])
        {
            if (end == 0 || begun[end - 1] != '\r' || (isFirst && !TryReadRequestLine(begun[..(end - 1)], out _)))
            {
                return false;
            }

            isFirst = false;
        }

        return !isFirst || MayBecomeMethod(begun);
    }

    /// <summary>Reads a head.</summary>
    /// <param name="head">It, with the empty line at its end.</param>
    /// <returns>False where it is no usual one.</returns>
    public bool TryRead(ReadOnlySpan<byte> head)
    {
        var last = _bytes.AsSpan(0, _length);
        if (head.SequenceEqual(last))
        {
            return true;
        }

        // Not to be believed before it has been read.
        _length = 0;
        if (!TryReadLines(head, last))
        {
            _lineCount = 0;
            return false;
        }

        if (_bytes.Length < head.Length)
        {
            _bytes = new byte[head.Length + Spare];
        }

        head.CopyTo(_bytes);
        _length = head.Length;
        return true;
    }

    private bool TryReadLines(ReadOnlySpan<byte> head, ReadOnlySpan<byte> last)
    {
        // Lines stand in the same order as before, as long as there are any: those that are the same up to the first difference need no look.
        var same = head.CommonPrefixLength(last);
        var count = 0;
        while (count < _lineCount && _starts[count + 1] <= same)
        {
            count++;
        }

        var (length, hasNewShape) = (head.Length, last.IsEmpty);
        head = head[_starts[count]..];
        last = last[_starts[count]..];
        for (ReadOnlySpan<byte> line; ; count++)
        {
            _starts[count] = (ushort)(length - head.Length);
            line = Line(ref head);
            if (line.IsEmpty)
            {
                break;
            }

            var before = Line(ref last);
            if (line.SequenceEqual(before) && count <= Headers.Count)
            {
                continue;
            }

            if (count == 0 ? !TryTakeRequestLine(line, ref hasNewShape) : count > MostHeaders || !TryReadHeader(line, before, count - 1, ref hasNewShape))
            {
                return false;
            }
        }

        _lineCount = count;
        hasNewShape |= count != Headers.Count + 1;
        Headers.Truncate(Math.Max(0, count - 1));
        return head.IsEmpty && count > 0 && (!hasNewShape || HasUsualShape());
    }

    /// <summary>Takes the next line, without its end: empty at the end of the head, or where it is not ended as it must be.</summary>
    private static ReadOnlySpan<byte> Line(scoped ref ReadOnlySpan<byte> rest)
    {
        var end = rest.IndexOf((byte)'\n');
        if (end < 1 || rest[end - 1] != '\r')
        {
            return default;
        }

        var line = rest[..(end - 1)];
        rest = rest[(end + 1)..];
        return line;
    }

    private static bool MayBecomeMethod(ReadOnlySpan<byte> begun)
    {
        foreach (var method in s_methods)
        {
            var length = Math.Min(begun.Length, method.Length);
            if (Ascii.Equals(begun[..length], method.AsSpan(0, length)) && (length == begun.Length || begun[length] == ' '))
            {
                return true;
            }
        }

        return false;
    }

    private bool TryTakeRequestLine(ReadOnlySpan<byte> line, ref bool hasNewShape)
    {
        if (!TryReadRequestLine(line, out var read))
        {
            return false;
        }

        hasNewShape |= read.Method != Method;
        (Method, Path, Target) = (read.Method, read.Path, read.Target);
        Query = Encoding.ASCII.GetString(line.Slice(Method.Length + 1 + Path.Length, read.QueryLength));
        return true;
    }

    private bool TryReadRequestLine(ReadOnlySpan<byte> line, out (string Method, string Path, RequestDelegate Target, int QueryLength) read)
    {
        read = default;
        var version = " HTTP/1.1"u8;
        var space = line.IndexOf((byte)' ');
        if (MethodOf(line[..Math.Max(0, space)]) is not { } method || !line.EndsWith(version) || line.Length <= space + 1 + version.Length)
        {
            return false;
        }

        var target = line[(space + 1)..^version.Length];
        var path = target.IndexOf((byte)'?') is >= 0 and var at ? target[..at] : target;
        if (!IsVisible(target) || target.IndexOfAny((byte)' ', (byte)'#') >= 0)
        {
            return false;
        }

        foreach (var (known, answers) in targets)
        {
            // To the letter: what is escaped or dotted is for who knows all spellings.
            if (Ascii.Equals(path, known))
            {
                read = (method, known, answers, target.Length - path.Length);
                return true;
            }
        }

        return false;
    }

    private static string? MethodOf(ReadOnlySpan<byte> name)
    {
        foreach (var method in s_methods)
        {
            if (Ascii.Equals(name, method))
            {
                return method;
            }
        }

        return null;
    }

    private bool TryReadHeader(ReadOnlySpan<byte> line, ReadOnlySpan<byte> before, int index, ref bool hasNewShape)
    {
        var colon = line.IndexOf((byte)':');
        if (colon <= 0)
        {
            return false;
        }

        var value = line[(colon + 1)..].Trim((byte)' ');
        if (!IsVisible(value))
        {
            return false;
        }

        string name;
        if (index < Headers.Count && before.StartsWith(line[..(colon + 1)]))
        {
            name = Headers.At(index).Key;
        }
        else if (line[..colon].ContainsAnyExcept(s_token))
        {
            return false;
        }
        else
        {
            name = NameOf(line[..colon]);
            hasNewShape = true;
        }

        if (ReferenceEquals(name, HeaderNames.ContentLength))
        {
            if (!TryReadLength(value))
            {
                return false;
            }

            // Without a new text for most: short numbers have theirs.
            Headers.Put(index, name, BodyLength.ToString(CultureInfo.InvariantCulture));
            return true;
        }

        var text = Encoding.ASCII.GetString(value);
        if ((ReferenceEquals(name, HeaderNames.Host) && !IsUsualHost(text)) || (ReferenceEquals(name, HeaderNames.Connection) && !text.Equals("keep-alive", StringComparison.OrdinalIgnoreCase)))
        {
            return false;
        }

        Headers.Put(index, name, text);
        return true;
    }

    private static string NameOf(ReadOnlySpan<byte> name)
    {
        foreach (var known in s_known)
        {
            if (Ascii.EqualsIgnoreCase(name, known))
            {
                return known;
            }
        }

        return Encoding.ASCII.GetString(name);
    }

    /// <summary>Whether no name stands there twice, none is missing, none says that the request is to be read in another way, and there is a body where one is usual.</summary>
    private bool HasUsualShape()
    {
        for (var i = 1; i < Headers.Count; i++)
        {
            for (var k = 0; k < i; k++)
            {
                if (string.Equals(Headers.At(i).Key, Headers.At(k).Key, StringComparison.OrdinalIgnoreCase))
                {
                    return false;
                }
            }
        }

        var hasBody = ReferenceEquals(Method, HttpMethods.Post);
        BodyLength = hasBody ? BodyLength : 0;
        return Headers.ContainsKey(HeaderNames.Host) && Headers.ContainsKey(HeaderNames.ContentLength) == hasBody && !s_unusual.Any(Headers.ContainsKey);
    }

    /// <summary>Nine digits at most: it fits, and is longer than what is read here by far.</summary>
    private bool TryReadLength(ReadOnlySpan<byte> digits)
    {
        if (digits.Length is < 1 or > 9 || digits.ContainsAnyExceptInRange((byte)'0', (byte)'9') || (digits[0] == '0' && digits.Length > 1)
            || !Utf8Parser.TryParse(digits, out int length, out _))
        {
            return false;
        }

        BodyLength = length;
        return true;
    }

    /// <summary>Whether it is a name or an address, with or without a port: the server refuses some other texts.</summary>
    private static bool IsUsualHost(string host)
    {
        var name = host.AsSpan();
        var end = host.StartsWith('[') ? host.IndexOf(']', StringComparison.Ordinal) + 1 : host.IndexOf(':', StringComparison.Ordinal);
        if (end >= 0 && end < host.Length)
        {
            if (host[end] != ':')
            {
                return false;
            }

            var port = name[(end + 1)..];
            name = name[..end];
            if (port.Length is < 1 or > 5 || port.ContainsAnyExceptInRange('0', '9'))
            {
                return false;
            }
        }

        return name.StartsWith("[") ? name[^1] == ']' && IPAddress.TryParse(name[1..^1], out var address) && address.AddressFamily == AddressFamily.InterNetworkV6 : name.Length > 0 && !name.ContainsAnyExcept(s_hostName);
    }

    private static bool IsVisible(ReadOnlySpan<byte> text) => !text.ContainsAnyExceptInRange((byte)' ', (byte)'~');
}
