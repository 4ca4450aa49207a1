using System.Buffers;
using System.Text;
using System.Text.Json;
using McpProxy.JsonRpc;

namespace McpProxy.Eras;

/// <summary>
/// Changes members of one JSON object. What is not changed keeps its text: numbers, escapes, order, unknown and repeated members.
/// An object in which nothing changes comes back as the bytes that it was.
/// </summary>
internal sealed class ObjectEdit
{
    private readonly ReadOnlyMemory<byte> _source;
    private readonly List<Member> _members = [];
    private bool _isChanged;

    /// <param name="json">The text of an object; anything else, or nothing, counts as an object without members.</param>
    public ObjectEdit(ReadOnlyMemory<byte> json)
    {
        _source = json;
        if (json.Span is not [(byte)'{', ..])
        {
            _isChanged = true;
            return;
        }

        var reader = new Utf8JsonReader(json.Span, new JsonReaderOptions { MaxDepth = JsonRpcMessage.MaxDepth });
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var start = (int)reader.TokenStartIndex;
            var name = NameOf(ref reader);
            reader.Read();
            var value = (int)reader.TokenStartIndex;
            reader.Skip();
            var end = (int)reader.BytesConsumed;
            _members.Add(new(name, json[start..end], json[value..end]));
        }
    }

    /// <summary>Whether the object has members.</summary>
    public bool IsEmpty => _members.Count == 0;

    /// <summary>The names of the members, in order, unescaped; and the text of each value.</summary>
    public IEnumerable<(string Name, ReadOnlyMemory<byte> Value)> Members => _members.Select(member => (member.Name, member.Value));

    /// <summary>The text of a member's value; empty when there is none. The last of equal names counts.</summary>
    public ReadOnlyMemory<byte> Find(string name) => _members.FindLast(member => member.Name == name).Value;

    /// <summary>Takes out every member of this name.</summary>
    public ObjectEdit Remove(string name)
    {
        _isChanged |= _members.RemoveAll(member => member.Name == name) > 0;
        return this;
    }

    /// <summary>Gives a member a value, in its place when it exists, else at the end.</summary>
    public ObjectEdit Set(string name, ReadOnlyMemory<byte> value)
    {
        var at = _members.FindLastIndex(member => member.Name == name);
        var member = new Member(name, (byte[])[.. Quoted(name), (byte)':', .. value.Span], value);
        _isChanged = true;
        if (at < 0)
        {
            _members.Add(member);
        }
        else
        {
            _members[at] = member;
        }

        return this;
    }

    /// <summary>The object's text.</summary>
    public ReadOnlyMemory<byte> ToUtf8()
    {
        if (!_isChanged)
        {
            return _source;
        }

        var target = new ArrayBufferWriter<byte>(Math.Max(16, _source.Length + 256));
        target.Write("{"u8);
        for (var i = 0; i < _members.Count; i++)
        {
            if (i > 0)
            {
                target.Write(","u8);
            }

            target.Write(_members[i].Whole.Span);
        }

        target.Write("}"u8);
        return target.WrittenMemory;
    }

    /// <summary>A string's JSON text.</summary>
    public static byte[] Quoted(string text) => [(byte)'"', .. JsonEncodedText.Encode(text, System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes, (byte)'"'];

    private static string NameOf(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate: the text itself tells the member from others.
            return Encoding.UTF8.GetString(reader.ValueSpan);
        }
    }

    private readonly record struct Member(string Name, ReadOnlyMemory<byte> Whole, ReadOnlyMemory<byte> Value);
}
