using System.Text;
using System.Text.Encodings.Web;
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

    /// <param name="json">The text of an object; anything else, or nothing, counts as an object without members.</param>
    /// <exception cref="JsonException">It begins like an object, and is none.</exception>
    public ObjectEdit(ReadOnlyMemory<byte> json)
    {
        _source = json;
        if (json.Span is not [(byte)'{', ..])
        {
            IsChanged = true;
            return;
        }

        var reader = new ObjectReader(json.Span);
        while (reader.TryRead())
        {
            _members.Add(new(json[reader.Name], json[reader.Value], json[reader.Name.Start..reader.Value.End]));
        }
    }

    /// <summary>Whether the object has members.</summary>
    public bool IsEmpty => _members.Count == 0;

    /// <summary>Whether the text is another than it was given.</summary>
    public bool IsChanged { get; private set; }

    /// <summary>How long the text is.</summary>
    public int Length => IsChanged ? 2 + _members.Sum(static member => member.Length) + Math.Max(0, _members.Count - 1) : _source.Length;

    /// <summary>The names of the members, in order, unescaped; and the text of each value.</summary>
    public IEnumerable<(string Name, ReadOnlyMemory<byte> Value)> Members => _members.Select(member => (member.Text, member.Value));

    /// <summary>The text of a member's value; empty when there is none. The last of equal names counts.</summary>
    public ReadOnlyMemory<byte> Find(string name) => LastOf(name) is var at and >= 0 ? _members[at].Value : default;

    /// <summary>Takes out every member of this name.</summary>
    public ObjectEdit Remove(string name)
    {
        for (var at = LastOf(name); at >= 0; at = LastOf(name))
        {
            _members.RemoveAt(at);
            IsChanged = true;
        }

        return this;
    }

    /// <summary>Gives a member a value, in its place when it exists, else at the end.</summary>
    public ObjectEdit Set(string name, ReadOnlyMemory<byte> value)
    {
        var at = LastOf(name);
        var member = new Member(Quoted(name), value, default);
        IsChanged = true;
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
        if (!IsChanged)
        {
            return _source;
        }

        var target = new byte[Length];
        Write(target);
        return target;
    }

    /// <summary>Writes the object's text.</summary>
    /// <param name="target">Room for at least <see cref="Length"/> bytes.</param>
    /// <returns>The room behind it.</returns>
    public Span<byte> Write(Span<byte> target)
    {
        if (!IsChanged)
        {
            return Append(target, _source.Span);
        }

        var separator = "{"u8;
        foreach (var member in _members)
        {
            target = Append(target, separator);
            separator = ","u8;
            target = member.Whole.IsEmpty
                ? Append(Append(Append(target, member.Name.Span), ":"u8), member.Value.Span)
                : Append(target, member.Whole.Span);
        }

        return Append(target, IsEmpty ? "{}"u8 : "}"u8);
    }

    /// <summary>A string's JSON text.</summary>
    public static byte[] Quoted(string text)
    {
        if (text.AsSpan().ContainsAnyExceptInRange(' ', '~') || text.AsSpan().ContainsAny('"', '\\'))
        {
            return [(byte)'"', .. JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes, (byte)'"'];
        }

        var quoted = new byte[text.Length + 2];
        quoted[0] = quoted[^1] = (byte)'"';
        Encoding.ASCII.GetBytes(text, quoted.AsSpan(1));
        return quoted;
    }

    private static Span<byte> Append(Span<byte> target, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(target);
        return target[bytes.Length..];
    }

    private int LastOf(string name)
    {
        var at = _members.Count - 1;
        while (at >= 0 && !_members[at].Is(name))
        {
            at--;
        }

        return at;
    }

    /// <param name="Name">The name's text, with its quotes.</param>
    /// <param name="Value">The value's text.</param>
    /// <param name="Whole">Both, and what stands between them, as they came; empty for one that was set.</param>
    private readonly record struct Member(ReadOnlyMemory<byte> Name, ReadOnlyMemory<byte> Value, ReadOnlyMemory<byte> Whole)
    {
        public int Length => Whole.IsEmpty ? Name.Length + 1 + Value.Length : Whole.Length;

        // A lone surrogate is no text: what stands there tells the member from others.
        public string Text => JsonMembers.AsString(Name) ?? Encoding.UTF8.GetString(Name.Span[1..^1]);

        public bool Is(string name)
        {
            var inner = Name.Span[1..^1];
            return Ascii.IsValid(inner) && !inner.Contains((byte)'\\') ? Ascii.Equals(inner, name) : Text == name;
        }
    }
}
