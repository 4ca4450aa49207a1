using System.Globalization;
using System.Text.Json;

namespace McpProxy.Auth;

/// <summary>A JSON object that a server sent. A member of a type that it should not have counts as missing.</summary>
internal sealed class OAuthDocument
{
    private readonly JsonElement _root;

    private OAuthDocument(JsonElement root) => _root = root;

    /// <summary>Reads an object; null when the text is none.</summary>
    public static OAuthDocument? TryParse(ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 32 });
            return document.RootElement.ValueKind == JsonValueKind.Object ? new(document.RootElement.Clone()) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public string? String(string name) => Find(name, JsonValueKind.String) is { } value ? Text(value) : null;

    /// <summary>The strings of an array; null when there is no such array.</summary>
    public IReadOnlyList<string>? Strings(string name) =>
        Find(name, JsonValueKind.Array) is { } array
            ? [.. array.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(Text).OfType<string>()]
            : null;

    /// <summary>The JSON text of the objects in an array; null when there is no such array.</summary>
    public IReadOnlyList<string>? Objects(string name) =>
        Find(name, JsonValueKind.Array) is { } array ? [.. array.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.Object).Select(item => item.GetRawText())] : null;

    public bool Flag(string name) => Find(name, JsonValueKind.True) is not null;

    /// <summary>A number, also one that a server wrote as a string.</summary>
    public long? Number(string name) =>
        Find(name, JsonValueKind.Number) is { } number && number.TryGetDouble(out var value) && value is > -1e15 and < 1e15 ? (long)value
        : long.TryParse(String(name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var parsed) ? parsed
        : null;

    /// <summary>The members whose names are text, for what is passed on as it is.</summary>
    public IEnumerable<JsonProperty> Members => _root.EnumerateObject().Where(member => NameOf(member) is not null);

    private static string? Text(JsonElement value)
    {
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate: there is no such string.
            return null;
        }
    }

    private static string? NameOf(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private JsonElement? Find(string name, JsonValueKind kind)
    {
        foreach (var member in _root.EnumerateObject())
        {
            if (NameOf(member) == name)
            {
                return member.Value.ValueKind == kind ? member.Value : null;
            }
        }

        return null;
    }
}
