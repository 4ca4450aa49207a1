using System.Collections;
using Microsoft.AspNetCore.Http.Features;

namespace McpProxy.AspNetCore.Connections;

/// <summary>
/// The features of a connection: those that it is itself, and the few that are added to it. There are as many of these as there are connections, so it is
/// a short list and no dictionary.
/// </summary>
/// <param name="connection">The connection.</param>
internal sealed class ConnectionFeatures(object connection) : IFeatureCollection
{
    private KeyValuePair<Type, object>[] _added = [];
    private int _count;

    public bool IsReadOnly => false;

    public int Revision { get; private set; }

    public object? this[Type key]
    {
        get => IndexOf(key) is >= 0 and var index ? _added[index].Value : key.IsInstanceOfType(connection) ? connection : null;
        set => Set(key, value);
    }

    public TFeature? Get<TFeature>()
    {
        var index = IndexOf(typeof(TFeature));
        return index >= 0 ? (TFeature)_added[index].Value : connection is TFeature own ? own : default;
    }

    public void Set<TFeature>(TFeature? instance) => Set(typeof(TFeature), instance);

    public IEnumerator<KeyValuePair<Type, object>> GetEnumerator() => _added.Take(_count).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private int IndexOf(Type key)
    {
        for (var i = 0; i < _count; i++)
        {
            if (_added[i].Key == key)
            {
                return i;
            }
        }

        return -1;
    }

    private void Set(Type key, object? value)
    {
        Revision++;
        var index = IndexOf(key);
        if (value is null)
        {
            if (index >= 0)
            {
                _added[index] = _added[--_count];
                _added[_count] = default;
            }

            return;
        }

        if (index < 0)
        {
            index = _count++;
            if (index == _added.Length)
            {
                Array.Resize(ref _added, index + 4);
            }
        }

        _added[index] = new(key, value);
    }
}
