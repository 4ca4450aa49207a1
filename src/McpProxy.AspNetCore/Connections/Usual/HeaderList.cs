using System.Collections;
using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace McpProxy.AspNetCore.Connections.Usual;

/// <summary>
/// The headers of a request or of a response. There are few, and they are asked for by the names that the platform has constants for: a list in which
/// most are found by reference takes less than a table does.
/// </summary>
internal sealed class HeaderList : IHeaderDictionary
{
    private KeyValuePair<string, StringValues>[] _entries = new KeyValuePair<string, StringValues>[8];
    private int _count;
    private long? _length;

    /// <summary>A bit for each length that a name has, or had since there was none: what is asked for is mostly not there.</summary>
    private ulong _nameLengths;

    /// <inheritdoc/>
    public int Count => _count + (_length is null ? 0 : 1);

    /// <summary>How many bytes they take in a request, each with what stands around it.</summary>
    public int Size
    {
        get
        {
            var size = 0;
            foreach (ref readonly var entry in _entries.AsSpan(0, _count))
            {
                size += entry.Key.Length + entry.Value.ToString().Length + 4;
            }

            return size;
        }
    }

    /// <inheritdoc/>
    public bool IsReadOnly => false;

    /// <inheritdoc/>
    public ICollection<string> Keys => [.. this.Select(entry => entry.Key)];

    /// <inheritdoc/>
    public ICollection<StringValues> Values => [.. this.Select(entry => entry.Value)];

    /// <summary>The length of the body, which as a number needs no text.</summary>
    public long? ContentLength
    {
        get => _length ?? (IndexOf(HeaderNames.ContentLength) is >= 0 and var index
            && long.TryParse(_entries[index].Value.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var length) ? length : null);
        set
        {
            if (IndexOf(HeaderNames.ContentLength) is >= 0 and var index)
            {
                RemoveAt(index);
            }

            _length = value;
        }
    }

    /// <inheritdoc/>
    public StringValues this[string key]
    {
        get => TryGetValue(key, out var value) ? value : StringValues.Empty;
        set
        {
            if (value.Count == 0)
            {
                Remove(key);
                return;
            }

            if (IsLength(key))
            {
                ContentLength = long.TryParse(value.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var length) ? length : throw new InvalidOperationException("Content-Length must be a number");
                return;
            }

            if (IndexOf(key) is >= 0 and var index)
            {
                _entries[index] = new(_entries[index].Key, value);
            }
            else
            {
                Append(key, value);
            }
        }
    }

    StringValues IDictionary<string, StringValues>.this[string key]
    {
        get => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException($"there is no header {key}");
        set => this[key] = value;
    }

    /// <summary>How many there are with a text: all but a <see cref="ContentLength"/> that was set as a number.</summary>
    public int TextCount => _count;

    /// <summary>The header at a place, below <see cref="TextCount"/>.</summary>
    public KeyValuePair<string, StringValues> At(int index) => _entries[index];

    /// <summary>Puts a header at a place: one of those that there are, or the next.</summary>
    public void Put(int index, string name, string value)
    {
        if (index == _count)
        {
            Append(name, value);
        }
        else
        {
            _entries[index] = new(name, value);
            _nameLengths |= 1UL << name.Length;
        }
    }

    /// <summary>Forgets what comes from a place on.</summary>
    public void Truncate(int count)
    {
        Array.Clear(_entries, count, _count - count);
        _count = count;
        _nameLengths = count == 0 ? 0 : _nameLengths;
    }

    /// <inheritdoc/>
    public void Add(string key, StringValues value)
    {
        if (ContainsKey(key))
        {
            throw new ArgumentException($"there is a header {key} already", nameof(key));
        }

        this[key] = value;
    }

    /// <inheritdoc/>
    public void Add(KeyValuePair<string, StringValues> item) => Add(item.Key, item.Value);

    /// <inheritdoc/>
    public void Clear()
    {
        Truncate(0);
        _length = null;
    }

    /// <inheritdoc/>
    public bool Contains(KeyValuePair<string, StringValues> item) => TryGetValue(item.Key, out var value) && value == item.Value;

    /// <inheritdoc/>
    public bool ContainsKey(string key) => TryGetValue(key, out _);

    /// <inheritdoc/>
    public void CopyTo(KeyValuePair<string, StringValues>[] array, int arrayIndex)
    {
        foreach (var entry in this)
        {
            array[arrayIndex++] = entry;
        }
    }

    /// <inheritdoc/>
    public bool Remove(string key)
    {
        if (IndexOf(key) is >= 0 and var index)
        {
            RemoveAt(index);
            return true;
        }

        if (_length is null || !IsLength(key))
        {
            return false;
        }

        _length = null;
        return true;
    }

    /// <inheritdoc/>
    public bool Remove(KeyValuePair<string, StringValues> item) => Contains(item) && Remove(item.Key);

    /// <inheritdoc/>
    public bool TryGetValue(string key, out StringValues value)
    {
        if (IndexOf(key) is >= 0 and var index)
        {
            value = _entries[index].Value;
            return true;
        }

        value = _length is { } length && IsLength(key) ? length.ToString(CultureInfo.InvariantCulture) : StringValues.Empty;
        return value.Count > 0;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, StringValues>> GetEnumerator()
    {
        for (var i = 0; i < _count; i++)
        {
            yield return _entries[i];
        }

        if (_length is { } length)
        {
            yield return new(HeaderNames.ContentLength, length.ToString(CultureInfo.InvariantCulture));
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static bool IsLength(string key) => string.Equals(key, HeaderNames.ContentLength, StringComparison.OrdinalIgnoreCase);

    private int IndexOf(string key)
    {
        var alike = -1;
        if ((_nameLengths & (1UL << key.Length)) == 0)
        {
            return alike;
        }

        for (var i = 0; i < _count; i++)
        {
            var name = _entries[i].Key;
            if (ReferenceEquals(name, key))
            {
                return i;
            }

            if (name.Length == key.Length && string.Equals(name, key, StringComparison.OrdinalIgnoreCase))
            {
                alike = i;
            }
        }

        return alike;
    }

    private void Append(string name, StringValues value)
    {
        if (_count == _entries.Length)
        {
            Array.Resize(ref _entries, _count * 2);
        }

        _entries[_count++] = new(name, value);
        _nameLengths |= 1UL << name.Length;
    }

    private void RemoveAt(int index)
    {
        Array.Copy(_entries, index + 1, _entries, index, _count - index - 1);
        _entries[--_count] = default;
    }
}
