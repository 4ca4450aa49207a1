using System.Text.Json;

namespace McpProxy.JsonRpc;

/// <summary>Goes through the members of a JSON object, in order, repeated ones included.</summary>
/// <param name="json">The text of an object, from its brace on.</param>
internal ref struct ObjectReader(ReadOnlySpan<byte> json)
{
    private readonly ReadOnlySpan<byte> _json = json;
    private int _at;
    private bool _isOver;

    /// <summary>Where the name of the member stands, with its quotes.</summary>
    public Range Name { get; private set; }

    /// <summary>Where its value stands.</summary>
    public Range Value { get; private set; }

    /// <summary>Goes on to the next member.</summary>
    /// <returns>False behind the last one.</returns>
    /// <exception cref="JsonException">It is no JSON object, or nested too deep.</exception>
    public bool TryRead()
    {
        if (_isOver)
        {
            return false;
        }

        // Behind the brace, or the comma.
        var isFirst = _at == 0;
        var name = JsonValue.SkipWhiteSpace(_json, _at + 1);
        if (isFirst && name < _json.Length && _json[name] == '}')
        {
            _isOver = true;
            return false;
        }

        var nameEnd = Known(JsonValue.TextEnd(_json, name));
        var value = JsonValue.SkipWhiteSpace(_json, Known(JsonValue.NameEnd(_json, name)));
        var valueEnd = Known(JsonValue.End(_json, value, JsonRpcMessage.MaxDepth - 1));
        (Name, Value) = (name..nameEnd, value..valueEnd);
        _at = JsonValue.SkipWhiteSpace(_json, valueEnd);
        _isOver = _at < _json.Length && _json[_at] == '}';
        if (!_isOver && (_at >= _json.Length || _json[_at] != ','))
        {
            throw Broken();
        }

        return true;
    }

    /// <summary>Whether the name of the member is this one. One with a lone surrogate, which is valid JSON and no Unicode, equals nothing.</summary>
    public readonly bool NameIs(ReadOnlySpan<byte> name)
    {
        var quoted = _json[Name];
        if (!quoted.Contains((byte)'\\'))
        {
            return quoted[1..^1].SequenceEqual(name);
        }

        var reader = new Utf8JsonReader(quoted);
        reader.Read();
        return JsonMembers.NameIs(ref reader, name);
    }

    private static int Known(int end) => end >= 0 ? end : throw Broken();

    private static JsonException Broken() => new("not a JSON object, or nested too deep");
}
