using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace McpProxy.JsonRpc;

/// <summary>
/// The <c>id</c> of a JSON-RPC message, or a value compared like one (a progress token, a subscription id).
/// Two ids are equal when they mean the same JSON value, whatever text spells it; <see cref="Utf8Text"/> keeps the text.
/// </summary>
/// <remarks>
/// An id read from a message points into that message's bytes. Call <see cref="Detach"/> before keeping it for longer.
/// JSON-RPC 2.0, section 4; MCP "Requests".
/// </remarks>
public readonly struct JsonRpcId : IEquatable<JsonRpcId>
{
    /// <summary>The most characters that a number of 64 bits has.</summary>
    internal const int MaxNumberLength = 20;

    private readonly ReadOnlyMemory<byte> _text;
    private readonly long _number;

    private JsonRpcId(JsonRpcIdKind kind, ReadOnlyMemory<byte> text, long number)
    {
        Kind = kind;
        _text = text;
        _number = number;
    }

    /// <summary>What sort of JSON value this is.</summary>
    public JsonRpcIdKind Kind { get; }

    /// <summary>True when there is no id at all.</summary>
    public bool IsNone => Kind == JsonRpcIdKind.None;

    /// <summary>The id's JSON text; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Utf8Text => IsPlainNumber ? TextIn(stackalloc byte[MaxNumberLength]).ToArray() : _text;

    /// <summary>Whether it is a number in the usual spelling, which needs no text.</summary>
    internal bool IsPlainNumber => Kind == JsonRpcIdKind.Integer && _text.IsEmpty;

    /// <summary>The same as <see cref="Utf8Text"/>, without an array.</summary>
    /// <param name="room">Room for <see cref="MaxNumberLength"/> bytes.</param>
    internal ReadOnlySpan<byte> TextIn(Span<byte> room)
    {
        if (!IsPlainNumber)
        {
            return _text.Span;
        }

        Utf8Formatter.TryFormat(_number, room, out var written);
        return room[..written];
    }

    /// <summary>Makes an integer id.</summary>
    public static JsonRpcId FromNumber(long number) => new(JsonRpcIdKind.Integer, default, number);

    /// <summary>Makes an id of one JSON token's text: a number, a string or <c>null</c>.</summary>
    /// <param name="text">Valid JSON text, without white space around it.</param>
    public static JsonRpcId FromJson(ReadOnlyMemory<byte> text)
    {
        var span = text.Span;
        if (span.IsEmpty)
        {
            return default;
        }

        switch (span[0])
        {
            case (byte)'"':
                return new(JsonRpcIdKind.String, text, 0);
            case (byte)'n':
                return new(JsonRpcIdKind.Null, text, 0);
            case (byte)'-' or (>= (byte)'0' and <= (byte)'9'):
                if (Utf8Parser.TryParse(span, out long number, out var used) && used == span.Length)
                {
                    // "-0" is the one integer whose canonical text differs; keep it.
                    return new(JsonRpcIdKind.Integer, number == 0 && span.Length > 1 ? text : default, number);
                }

                if (Utf8Parser.TryParse(span, out decimal value, out used) && used == span.Length
                    && decimal.Truncate(value) == value && value is >= long.MinValue and <= long.MaxValue)
                {
                    return new(JsonRpcIdKind.Integer, text, (long)value);
                }

                return new(JsonRpcIdKind.Number, text, 0);
            default:
                return default;
        }
    }

    /// <summary>This id with its own copy of the text, safe to keep after the message is gone.</summary>
    public JsonRpcId Detach() => _text.IsEmpty ? this : new(Kind, _text.ToArray(), _number);

    /// <inheritdoc/>
    public bool Equals(JsonRpcId other)
    {
        if (Kind != other.Kind)
        {
            return false;
        }

        if (Kind == JsonRpcIdKind.Integer)
        {
            return _number == other._number;
        }

        var left = _text.Span;
        var right = other._text.Span;
        if (left.SequenceEqual(right))
        {
            return true;
        }

        return Kind == JsonRpcIdKind.String && (left.Contains((byte)'\\') || right.Contains((byte)'\\'))
            && string.Equals(Unescape(left), Unescape(right), StringComparison.Ordinal);
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is JsonRpcId other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        if (Kind == JsonRpcIdKind.Integer)
        {
            return _number.GetHashCode();
        }

        var span = _text.Span;
        var hash = new HashCode();
        if (Kind == JsonRpcIdKind.String && span.Contains((byte)'\\'))
        {
            hash.AddBytes(Encoding.UTF8.GetBytes($"\"{Unescape(span)}\""));
        }
        else
        {
            hash.AddBytes(span);
        }

        return hash.ToHashCode();
    }

    /// <summary>The id's JSON text.</summary>
    public override string ToString() => Encoding.UTF8.GetString(Utf8Text.Span);

    /// <summary>Whether two ids mean the same value.</summary>
    public static bool operator ==(JsonRpcId left, JsonRpcId right) => left.Equals(right);

    /// <summary>Whether two ids mean different values.</summary>
    public static bool operator !=(JsonRpcId left, JsonRpcId right) => !left.Equals(right);

    private static string? Unescape(ReadOnlySpan<byte> text)
    {
        var reader = new Utf8JsonReader(text);
        reader.Read();
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate has no UTF-16 string; its own text still tells it from others.
            return Encoding.UTF8.GetString(text);
        }
    }
}
