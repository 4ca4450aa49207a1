using System.Buffers;
using System.Text;

namespace McpProxy.Transports.StreamableHttp;

/// <summary>The names of the transport's HTTP headers, and how values are written into them (MCP 2026-07-28, "Value Encoding").</summary>
internal static class McpHeaders
{
    public const string SessionId = "Mcp-Session-Id";
    public const string ProtocolVersion = "MCP-Protocol-Version";
    public const string Method = "Mcp-Method";
    public const string Name = "Mcp-Name";
    public const string ParamPrefix = "Mcp-Param-";
    public const string LastEventId = "Last-Event-ID";

    private const string EncodedPrefix = "=?base64?";
    private const string EncodedSuffix = "?=";

    private static readonly SearchValues<char> s_tokenCharacters =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    /// <summary>Whether a header of this name can exist (RFC 9110, section 5.1).</summary>
    public static bool IsToken(string name) => name.Length > 0 && !name.AsSpan().ContainsAnyExcept(s_tokenCharacters);

    /// <summary>A value as it stands in a header: itself, or Base64 where it could not stand there.</summary>
    public static string Encode(string value)
    {
        var plain = value.All(IsVisible) && !value.StartsWith(' ') && !value.EndsWith(' ') && !value.StartsWith('\t') && !value.EndsWith('\t') && !IsEncoded(value);
        return plain ? value : EncodedPrefix + Convert.ToBase64String(Encoding.UTF8.GetBytes(value)) + EncodedSuffix;
    }

    /// <summary>The value that a header carries; null when its text breaks the encoding's rules.</summary>
    public static string? Decode(string header)
    {
        header = header.Trim(' ', '\t');
        if (!header.All(IsVisible))
        {
            return null;
        }

        if (!IsEncoded(header))
        {
            return header;
        }

        var text = header[EncodedPrefix.Length..^EncodedSuffix.Length];
        var bytes = new byte[text.Length];
        try
        {
            return !text.Any(char.IsWhiteSpace) && Convert.TryFromBase64String(text, bytes, out var count)
                ? new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes, 0, count)
                : null;
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    private static bool IsEncoded(string value) =>
        value.Length >= EncodedPrefix.Length + EncodedSuffix.Length
        && value.StartsWith(EncodedPrefix, StringComparison.Ordinal) && value.EndsWith(EncodedSuffix, StringComparison.Ordinal);

    private static bool IsVisible(char c) => c is '\t' or (>= ' ' and <= '~');
}
