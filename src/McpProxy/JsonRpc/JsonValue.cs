using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace McpProxy.JsonRpc;

/// <summary>
/// Finds where a JSON value ends, checking that it is one. <see cref="System.Text.Json.Utf8JsonReader"/> does that too, but reads text byte
/// by byte once it has met an escape, and most texts have line breaks. What is accepted here it accepts as well; whatever else there
/// is, it has the last word on.
/// </summary>
internal static class JsonValue
{
    // Text this short is read sooner than a search is begun. A multiple of a vector's length.
    private const int ShortText = 64;
    private const int NotKnown = -1;

    private static readonly SearchValues<byte> s_specialInText = SearchValues.Create(
        [.. Enumerable.Range(0, ' ').Select(control => (byte)control), (byte)'"', (byte)'\\']);

    /// <summary>Where the value that starts at this place ends.</summary>
    /// <param name="json">Valid UTF-8.</param>
    /// <param name="at">Where the value starts.</param>
    /// <param name="maxDepth">How many levels of objects and arrays it may have.</param>
    /// <returns>The index behind it; negative when it is no JSON, or too deep.</returns>
    public static int End(ReadOnlySpan<byte> json, int at, int maxDepth) =>
        (uint)at < (uint)json.Length && json[at] == '"' ? TextEnd(json, at) : EndOfAny(json, at, maxDepth);

    // Each bit of the levels is written before it is read.
    [SkipLocalsInit]
    private static int EndOfAny(ReadOnlySpan<byte> json, int at, int maxDepth)
    {
        // One bit for each level: whether it is an object.
        Span<ulong> levels = stackalloc ulong[JsonRpcMessage.MaxDepth / 64];
        maxDepth = Math.Min(maxDepth, JsonRpcMessage.MaxDepth);
        var depth = 0;
        while (true)
        {
            at = SkipWhiteSpace(json, at);
            if (at >= json.Length)
            {
                return NotKnown;
            }

            switch (json[at])
            {
                case (byte)'"':
                    at = TextEnd(json, at);
                    break;
                case (byte)'{' or (byte)'[':
                    var isObject = json[at] == '{';
                    if (depth >= maxDepth)
                    {
                        return NotKnown;
                    }

                    at = SkipWhiteSpace(json, at + 1);
                    if (at < json.Length && json[at] == (isObject ? '}' : ']'))
                    {
                        at++;
                        break;
                    }

                    ref var level = ref levels[depth >> 6];
                    level = isObject ? level | (1UL << depth) : level & ~(1UL << depth);
                    depth++;
                    if (isObject && (at = NameEnd(json, at)) < 0)
                    {
                        return NotKnown;
                    }

                    continue;
                case (byte)'t':
                    at = WordEnd(json, at, "true"u8);
                    break;
                case (byte)'f':
                    at = WordEnd(json, at, "false"u8);
                    break;
                case (byte)'n':
                    at = WordEnd(json, at, "null"u8);
                    break;
                default:
                    at = NumberEnd(json, at);
                    break;
            }

            // The value has ended, and maybe what it stands in.
            while (true)
            {
                if (at < 0 || depth == 0)
                {
                    return at;
                }

                at = SkipWhiteSpace(json, at);
                if (at >= json.Length)
                {
                    return NotKnown;
                }

                var isInObject = (levels[(depth - 1) >> 6] & (1UL << (depth - 1))) != 0;
                var next = json[at++];
                if (next == ',')
                {
                    if (isInObject && (at = NameEnd(json, SkipWhiteSpace(json, at))) < 0)
                    {
                        return NotKnown;
                    }

                    break;
                }

                if (next != (isInObject ? '}' : ']'))
                {
                    return NotKnown;
                }

                depth--;
            }
        }
    }

    /// <summary>Where a string that starts at this place ends; negative when there is none.</summary>
    public static int TextEnd(ReadOnlySpan<byte> json, int at)
    {
        if ((uint)at >= (uint)json.Length || json[at++] != '"')
        {
            return NotKnown;
        }

        // Most are names and words.
        if (json.Length - at >= Vector128<byte>.Count)
        {
            var special = SpecialIn(json.Slice(at, Vector128<byte>.Count));
            if (special == 0)
            {
                at += Vector128<byte>.Count;
            }
            else if (json[at += BitOperations.TrailingZeroCount(special)] == '"')
            {
                return at + 1;
            }
        }

        while (true)
        {
            at = NextSpecial(json, at);
            if (at >= json.Length)
            {
                return NotKnown;
            }

            if (json[at] == '"')
            {
                return at + 1;
            }

            if (json[at] != '\\' || (at = EscapeEnd(json, at)) < 0)
            {
                return NotKnown;
            }
        }
    }

    /// <summary>The first place from here on that is no white space.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int SkipWhiteSpace(ReadOnlySpan<byte> json, int at) =>
        (uint)at < (uint)json.Length && json[at] > ' ' ? at : WhiteSpaceEnd(json, at);

    /// <summary>Where the name of a member and its colon end; negative when there are none.</summary>
    public static int NameEnd(ReadOnlySpan<byte> json, int at)
    {
        at = TextEnd(json, at);
        if (at < 0)
        {
            return NotKnown;
        }

        at = SkipWhiteSpace(json, at);
        return at < json.Length && json[at] == ':' ? at + 1 : NotKnown;
    }

    /// <summary>The first place from here on at which a text ends, or something is escaped or not allowed; the length where there is none.</summary>
    private static int NextSpecial(ReadOnlySpan<byte> json, int at)
    {
        var searchFrom = Math.Min(json.Length, at + ShortText);
        for (; searchFrom - at >= Vector128<byte>.Count; at += Vector128<byte>.Count)
        {
            if (SpecialIn(json.Slice(at, Vector128<byte>.Count)) is var found and not 0)
            {
                return at + BitOperations.TrailingZeroCount(found);
            }
        }

        for (; at < searchFrom; at++)
        {
            if (json[at] is (byte)'"' or (byte)'\\' or < (byte)' ')
            {
                return at;
            }
        }

        return at >= json.Length ? at : json[at..].IndexOfAny(s_specialInText) is var rest and >= 0 ? at + rest : json.Length;
    }

    /// <summary>One bit for each byte of a vector: whether a text ends there, or something is escaped or not allowed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint SpecialIn(ReadOnlySpan<byte> sixteen)
    {
        var bytes = Vector128.Create(sixteen);
        var special = Vector128.Equals(bytes, Vector128.Create((byte)'"'))
            | Vector128.Equals(bytes, Vector128.Create((byte)'\\'))
            | Vector128.LessThan(bytes, Vector128.Create((byte)' '));
        return special.ExtractMostSignificantBits();
    }

    private static int WhiteSpaceEnd(ReadOnlySpan<byte> json, int at)
    {
        while (at < json.Length && json[at] is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t')
        {
            at++;
        }

        return at;
    }

    private static int EscapeEnd(ReadOnlySpan<byte> json, int at)
    {
        if (at + 1 >= json.Length)
        {
            return NotKnown;
        }

        switch (json[at + 1])
        {
            case (byte)'"' or (byte)'\\' or (byte)'/' or (byte)'b' or (byte)'f' or (byte)'n' or (byte)'r' or (byte)'t':
                return at + 2;
            case (byte)'u' when at + 6 <= json.Length:
                foreach (var digit in json.Slice(at + 2, 4))
                {
                    if (!char.IsAsciiHexDigit((char)digit))
                    {
                        return NotKnown;
                    }
                }

                return at + 6;
            default:
                return NotKnown;
        }
    }

    private static int WordEnd(ReadOnlySpan<byte> json, int at, ReadOnlySpan<byte> word) => json[at..].StartsWith(word) ? at + word.Length : NotKnown;

    private static int NumberEnd(ReadOnlySpan<byte> json, int at)
    {
        if (json[at] == '-')
        {
            at++;
        }

        var end = at < json.Length && json[at] == '0' ? at + 1 : DigitsEnd(json, at);
        if (end == at)
        {
            return NotKnown;
        }

        if (end < json.Length && json[end] == '.')
        {
            at = end + 1;
            end = DigitsEnd(json, at);
            if (end == at)
            {
                return NotKnown;
            }
        }

        if (end < json.Length && json[end] is (byte)'e' or (byte)'E')
        {
            at = end + 1;
            if (at < json.Length && json[at] is (byte)'+' or (byte)'-')
            {
                at++;
            }

            end = DigitsEnd(json, at);
            if (end == at)
            {
                return NotKnown;
            }
        }

        return end;
    }

    private static int DigitsEnd(ReadOnlySpan<byte> json, int at)
    {
        while (at < json.Length && json[at] is >= (byte)'0' and <= (byte)'9')
        {
            at++;
        }

        return at;
    }
}
