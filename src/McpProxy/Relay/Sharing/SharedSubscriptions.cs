namespace McpProxy.Relay.Sharing;

/// <summary>Which client has subscribed to which resource on a shared server (MCP 2025-11-25, "Resources", "Subscriptions").</summary>
internal sealed class SharedSubscriptions
{
    private const int MaxForEach = 10_000;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, HashSet<SharedLane>> _byUri = new(StringComparer.Ordinal);

    /// <summary>A client subscribes.</summary>
    /// <returns>False when it has too many subscriptions.</returns>
    public bool TryAdd(SharedLane lane, string uri)
    {
        lock (_gate)
        {
            if (_byUri.Values.Count(lanes => lanes.Contains(lane)) >= MaxForEach)
            {
                return false;
            }

            (_byUri.TryGetValue(uri, out var subscribed) ? subscribed : _byUri[uri] = []).Add(lane);
            return true;
        }
    }

    /// <summary>A client's subscription ends.</summary>
    /// <returns>Whether nobody is subscribed any more, so that the server need not care.</returns>
    public bool Remove(SharedLane lane, string uri)
    {
        lock (_gate)
        {
            if (!_byUri.TryGetValue(uri, out var subscribed))
            {
                return true;
            }

            subscribed.Remove(lane);
            return subscribed.Count == 0 && _byUri.Remove(uri);
        }
    }

    /// <summary>A client is gone.</summary>
    /// <returns>The resources that nobody is subscribed to any more.</returns>
    public List<string> RemoveAll(SharedLane lane)
    {
        lock (_gate)
        {
            List<string> left = [.. _byUri.Where(entry => entry.Value.Remove(lane) && entry.Value.Count == 0).Select(entry => entry.Key)];
            left.ForEach(uri => _byUri.Remove(uri));
            return left;
        }
    }

    /// <summary>The clients to tell that a resource has changed: it may be part of one that was subscribed to.</summary>
    public List<SharedLane> Of(string uri)
    {
        lock (_gate)
        {
            return [.. _byUri.Where(entry => IsOrHolds(entry.Key, uri)).SelectMany(entry => entry.Value).Distinct()];
        }
    }

    private static bool IsOrHolds(string subscribed, string uri) =>
        uri.StartsWith(subscribed, StringComparison.Ordinal)
        && (uri.Length == subscribed.Length || subscribed.EndsWith('/') || uri[subscribed.Length] is '/' or '?' or '#');
}
