using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using McpProxy.Buffers;
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
    /// <exception cref="JsonException">It begins like an object, and is none.</exception>
    public ObjectEdit(ReadOnlyMemory<byte> json)
    {
        _source = json;
        if (json.Span is not [(byte)'{', ..])
        {
            _isChanged = true;
            return;
        }

        var reader = new ObjectReader(json.Span);
        while (reader.TryRead())
        {
            var name = json[reader.Name];
            _members.Add(new(name, json[reader.Value], json[reader.Name.Start..reader.Value.End], IsPlain(name.Span) ? null : TextOf(name)));
        }
    }

    /// <summary>Whether the object has members.</summary>
    public bool IsEmpty => _members.Count == 0;

    /// <summary>How long the text is.</summary>
    public int Length
    {
        get
        {
            if (!_isChanged)
            {
                return _source.Length;
            }

            // The braces, and what stands between two members.
            var length = 2 + Math.Max(0, _members.Count - 1);
            foreach (var member in _members)
            {
                length += member.Length;
            }

            return length;
        }
    }

    /// <summary>The names of the members, in order, unescaped; and the text of each value.</summary>
    public IEnumerable<(string Name, ReadOnlyMemory<byte> Value)> Members => _members.Select(member => (member.Text, member.Value));

    /// <summary>The text of a member's value; empty when there is none. The last of equal names counts.</summary>
    public ReadOnlyMemory<byte> Find(string name) => LastOf(name) is var at and >= 0 ? _members[at].Value : default;

    /// <summary>Takes out every member of this name.</summary>
    public ObjectEdit Remove(string name)
    {
        if (LastOf(name) >= 0)
        {
            RemoveWhere(member => member.Is(name));
        }

        return this;
    }

    /// <summary>Takes out every member whose name begins so.</summary>
    public ObjectEdit RemoveStarting(string prefix)
    {
        RemoveWhere(member => member.StartsWith(prefix));
        return this;
    }

    /// <summary>Gives a member a value, in its place when it exists, else at the end.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="value">JSON text, which is not copied before <see cref="Write"/>.</param>
    public ObjectEdit Set(string name, ReadOnlyMemory<byte> value)
    {
        var at = LastOf(name);
        var member = new Member(Quoted(name), value, default, name);
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

        var target = new byte[Length];
        Write(target);
        return target;
    }

    /// <summary>Writes the object's text.</summary>
    /// <param name="target">Room for at least <see cref="Length"/> bytes.</param>
    /// <returns>The room behind it.</returns>
    public Span<byte> Write(Span<byte> target)
    {
        if (!_isChanged)
        {
            return target.Append(_source.Span);
        }

        var separator = "{"u8;
        foreach (var member in _members)
        {
            target = target.Append(separator);
            separator = ","u8;
            target = member.Whole.IsEmpty
                ? target.Append(member.Name.Span).Append(":"u8).Append(member.Value.Span)
                : target.Append(member.Whole.Span);
        }

        return target.Append(IsEmpty ? "{}"u8 : "}"u8);
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

    /// <summary>Whether a name's text says what it stands for, letter by letter.</summary>
    private static bool IsPlain(ReadOnlySpan<byte> quoted) => Ascii.IsValid(quoted) && !quoted.Contains((byte)'\\');

    /// <summary>What a name's text stands for. A lone surrogate is no text: what stands there tells it from others.</summary>
    private static string TextOf(ReadOnlyMemory<byte> quoted) => JsonMembers.AsString(quoted) ?? Encoding.UTF8.GetString(quoted.Span[1..^1]);

    private void RemoveWhere(Predicate<Member> isMeant) => _isChanged |= _members.RemoveAll(isMeant) > 0;

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
    /// <param name="Known">What the name stands for; null where its text says that plainly.</param>
    private readonly record struct Member(ReadOnlyMemory<byte> Name, ReadOnlyMemory<byte> Value, ReadOnlyMemory<byte> Whole, string? Known)
    {
        public int Length => Whole.IsEmpty ? Name.Length + 1 + Value.Length : Whole.Length;

        public string Text => Known ?? TextOf(Name);

        public bool Is(string name) => Known is null ? Ascii.Equals(Name.Span[1..^1], name) : Known == name;

        public bool StartsWith(string prefix) => Known is null
            ? Name.Length - 2 >= prefix.Length && Ascii.Equals(Name.Span.Slice(1, prefix.Length), prefix)
            : Known.StartsWith(prefix, StringComparison.Ordinal);
    }
}
