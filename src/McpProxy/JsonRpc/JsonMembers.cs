using System.Text.Json;

namespace McpProxy.JsonRpc;

/// <summary>Finds single members in JSON text without reading the rest into memory.</summary>
internal static class JsonMembers
{
    /// <summary>The text of a member of an object; empty when the text is no object or has no such member. The last of equal names counts.</summary>
    public static ReadOnlyMemory<byte> Find(ReadOnlyMemory<byte> json, ReadOnlySpan<byte> name) => json[FindRange(json.Span, name)];

    /// <summary>The text found by following members from object to object.</summary>
    public static ReadOnlyMemory<byte> Find(ReadOnlyMemory<byte> json, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second) =>
        Find(Find(json, first), second);

    /// <summary>Where the value of a member stands; an empty range when there is none.</summary>
    public static Range FindRange(ReadOnlySpan<byte> json, ReadOnlySpan<byte> name)
    {
        Range found = default;
        if (json is not [(byte)'{', ..])
        {
            return found;
        }

        var reader = new ObjectReader(json);
        while (reader.TryRead())
        {
            if (reader.NameIs(name))
            {
                found = reader.Value;
            }
        }

        return found;
    }

    /// <summary>
    /// Whether the property name or string that a reader stands on is this one. Text with a lone surrogate, which is
    /// valid JSON and no Unicode, equals nothing.
    /// </summary>
    public static bool NameIs(ref Utf8JsonReader reader, ReadOnlySpan<byte> name)
    {
        if (!reader.ValueIsEscaped)
        {
            return reader.ValueSpan.SequenceEqual(name);
        }

        try
        {
            return reader.ValueTextEquals(name);
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>The value of a JSON string; null when the text is not a string.</summary>
    public static string? AsString(ReadOnlyMemory<byte> json)
    {
        if (json.Span is not [(byte)'"', ..])
        {
            return null;
        }

        var reader = new Utf8JsonReader(json.Span);
        reader.Read();
        try
        {
            return reader.GetString();
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate: there is no such string.
            return null;
        }
    }
}
