using McpProxy.Buffers;

namespace McpProxy.JsonRpc;

/// <summary>Replaces parts of a message and copies the rest byte for byte.</summary>
internal static class JsonSplice
{
    /// <summary>The bytes with some ranges replaced.</summary>
    /// <param name="source">The bytes.</param>
    /// <param name="edits">What to put in place of which range: in order, not overlapping; empty ranges insert.</param>
    public static ReadOnlyMemory<byte> Apply(ReadOnlyMemory<byte> source, params ReadOnlySpan<(Range Range, ReadOnlyMemory<byte> Text)> edits)
    {
        var target = new byte[LengthOf(source, edits)];
        Write(source, edits, target);
        return target;
    }

    /// <summary>The message with another id, and memory that is the caller's to give back when the message has passed.</summary>
    public static JsonRpcMessage WithId(in JsonRpcMessage message, JsonRpcId id, out RentedMemory memory)
    {
        if (message.Id.IsNone || id.Kind is JsonRpcIdKind.None or JsonRpcIdKind.Null)
        {
            memory = default;
            return WithId(message, id);
        }

        Span<byte> digits = stackalloc byte[JsonRpcId.MaxNumberLength];
        var text = id.TextIn(digits);
        var source = message.Utf8.Span;
        var (start, end) = (message.IdRange.Start.Value, message.IdRange.End.Value);
        var length = source.Length + text.Length - (end - start);
        memory = new(length);
        var target = memory.Memory[..length];
        source[..start].CopyTo(target.Span);
        text.CopyTo(target.Span[start..]);
        source[end..].CopyTo(target.Span[(start + text.Length)..]);
        return message.Moved(target, id, start..(start + text.Length), message.IdRange);
    }

    /// <summary>The message with another id, which is a string or a number.</summary>
    public static JsonRpcMessage WithId(in JsonRpcMessage message, JsonRpcId id)
    {
        var text = id.Utf8Text;
        if (id.Kind is JsonRpcIdKind.None or JsonRpcIdKind.Null)
        {
            // Not every message may have these.
            return Reparse(Apply(message.Utf8, message.Id.IsNone ? (1..1, (byte[])[.. "\"id\":"u8, .. text.Span, (byte)',']) : (message.IdRange, text)));
        }

        if (!message.Id.IsNone)
        {
            var start = message.IdRange.Start.Value;
            return message.Moved(Apply(message.Utf8, (message.IdRange, text)), id, start..(start + text.Length), message.IdRange);
        }

        var name = "\"id\":"u8;
        var at = 1 + name.Length;
        return message.Moved(Apply(message.Utf8, (1..1, (byte[])[.. name, .. text.Span, (byte)','])), id, at..(at + text.Length), 1..1);
    }

    /// <summary>Reads the envelope of bytes that a splice of a valid message made.</summary>
    public static JsonRpcMessage Reparse(ReadOnlyMemory<byte> utf8) =>
        JsonRpcMessage.TryParse(utf8, out var message, out var fault) ? message : throw new InvalidOperationException(fault.Message);

    private static int LengthOf(ReadOnlyMemory<byte> source, params ReadOnlySpan<(Range Range, ReadOnlyMemory<byte> Text)> edits)
    {
        var length = source.Length;
        foreach (var (range, text) in edits)
        {
            length += text.Length - range.GetOffsetAndLength(source.Length).Length;
        }

        return length;
    }

    private static void Write(ReadOnlyMemory<byte> source, ReadOnlySpan<(Range Range, ReadOnlyMemory<byte> Text)> edits, Span<byte> target)
    {
        var at = 0;
        foreach (var (range, text) in edits)
        {
            var (offset, count) = range.GetOffsetAndLength(source.Length);
            source.Span[at..offset].CopyTo(target);
            text.Span.CopyTo(target[(offset - at)..]);
            target = target[(offset - at + text.Length)..];
            at = offset + count;
        }

        source.Span[at..].CopyTo(target);
    }

    /// <summary>Where a part that was found in the source stands in it.</summary>
    public static Range RangeOf(ReadOnlyMemory<byte> source, ReadOnlyMemory<byte> part)
    {
        if (!source.Span.Overlaps(part.Span, out var offset))
        {
            throw new ArgumentException("The part does not lie in the source.", nameof(part));
        }

        return offset..(offset + part.Length);
    }
}
