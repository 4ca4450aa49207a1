using McpProxy.JsonRpc;

namespace McpProxy.Relay.Sharing;

/// <summary>The requests in flight on a shared connection, by the ids that they have there.</summary>
internal sealed class RequestRoutes(TimeProvider time)
{
    /// <summary>How long a server may go on with a call that was given up, and speak for it, before it has read the cancellation.</summary>
    private static readonly TimeSpan s_afterlife = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, Route> _routes = [];
    private readonly Queue<(SharedLane Lane, long Since)> _givenUp = new();
    private long _lastId;

    /// <summary>Gives a request an id that no other has had.</summary>
    public JsonRpcId Add(Route route)
    {
        lock (_gate)
        {
            route.Order = ++_lastId;
            var id = JsonRpcId.FromNumber(_lastId);
            _routes.Add(id, route);
            return id;
        }
    }

    public Route? Find(JsonRpcId id)
    {
        lock (_gate)
        {
            return _routes.GetValueOrDefault(id);
        }
    }

    public Route? Remove(JsonRpcId id)
    {
        lock (_gate)
        {
            return _routes.Remove(id, out var route) ? route : null;
        }
    }

    /// <summary>Forgets a client's request and returns the id that it had here; null when it has none like this.</summary>
    public JsonRpcId? Remove(SharedLane lane, JsonRpcId id)
    {
        lock (_gate)
        {
            foreach (var (ours, route) in _routes)
            {
                if (route.Lane == lane && route.Id == id)
                {
                    _routes.Remove(ours);
                    GiveUp(route);
                    return ours;
                }
            }
        }

        return null;
    }

    /// <summary>Forgets all requests of a client and returns the ids that they had here.</summary>
    public List<JsonRpcId> RemoveAll(SharedLane lane)
    {
        lock (_gate)
        {
            List<KeyValuePair<JsonRpcId, Route>> removed = [.. _routes.Where(entry => entry.Value.Lane == lane)];
            removed.ForEach(entry =>
            {
                _routes.Remove(entry.Key);
                GiveUp(entry.Value);
            });
            return [.. removed.Select(entry => entry.Key)];
        }
    }

    /// <summary>Forgets all requests and returns them.</summary>
    public List<Route> RemoveAll()
    {
        lock (_gate)
        {
            List<Route> all = [.. _routes.Values];
            _routes.Clear();
            return all;
        }
    }

    /// <summary>
    /// A log message of the modern era names no request. While one request alone asks for logs it is the one; with more,
    /// passing it on could show one client what is another's.
    /// </summary>
    public Route? OnlyOneThatAsksForLogs()
    {
        lock (_gate)
        {
            Route? only = null;
            foreach (var route in _routes.Values)
            {
                if (route.AsksForLogs)
                {
                    if (only is not null)
                    {
                        return null;
                    }

                    only = route;
                }
            }

            return only;
        }
    }

    /// <summary>
    /// The newest request of the only client that has one in flight, calls before others; null when there is none, or when there are
    /// several clients it could be: then what the server says could be anyone's. A call that was given up a moment ago counts too.
    /// </summary>
    public Route? NewestOfOnlyClient(out bool isAmbiguous)
    {
        lock (_gate)
        {
            return NewestOfOnlyClient(isCall: true, out isAmbiguous) ?? (isAmbiguous ? null : NewestOfOnlyClient(isCall: false, out isAmbiguous));
        }
    }

    private Route? NewestOfOnlyClient(bool isCall, out bool isAmbiguous)
    {
        Route? newest = null;
        isAmbiguous = false;
        foreach (var route in _routes.Values)
        {
            if (route.Lane is null || route.IsCall != isCall)
            {
                continue;
            }

            if (newest is not null && newest.Lane != route.Lane)
            {
                isAmbiguous = true;
                return null;
            }

            newest = newest is null || route.Order > newest.Order ? route : newest;
        }

        while (_givenUp.TryPeek(out var oldest) && time.GetElapsedTime(oldest.Since) >= s_afterlife)
        {
            _givenUp.Dequeue();
        }

        isAmbiguous = _givenUp.Any(call => call.Lane != newest?.Lane);
        return isAmbiguous ? null : newest;
    }

    private void GiveUp(Route route)
    {
        if (route.IsCall)
        {
            _givenUp.Enqueue((route.Lane!, time.GetTimestamp()));
        }
    }
}
