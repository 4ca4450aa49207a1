using System.Runtime.InteropServices;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;

namespace McpProxy.Relay;

/// <summary>The requests of one side that the other has not answered yet.</summary>
internal sealed class PendingRequests
{
    private readonly Lock _gate = new();
    private readonly InFlight _unsettled = new();
    private readonly Dictionary<JsonRpcId, Entry> _entries = [];
    private readonly Dictionary<JsonRpcId, JsonRpcId> _byProgressToken = [];
    private long _order;
    private int _count;
    private bool _closed;

    /// <summary>How many there are now.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Remembers a request, and what is measured of it.</summary>
    /// <param name="request">The request.</param>
    /// <param name="limit">How many there may be.</param>
    /// <param name="now">When it came.</param>
    /// <param name="cause">The other side's request that it was sent for, or none.</param>
    /// <param name="operation">What is measured of it.</param>
    public AddResult Add(in JsonRpcMessage request, int limit, long now, JsonRpcId cause = default, in RequestOperation operation = default)
    {
        var id = request.Id.Detach();
        var token = request.ProgressToken().Detach();
        var isListen = request.Is("subscriptions/listen"u8);
        var isInitialize = request.Is("initialize"u8);
        var isCall = request.Is("tools/call"u8) || request.Is("prompts/get"u8) || request.Is("resources/read"u8);
        lock (_gate)
        {
            if (_closed || _entries.Count >= limit)
            {
                return _closed ? AddResult.Closed : AddResult.TooMany;
            }

            ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, id, out var isThere);
            if (isThere)
            {
                return AddResult.Duplicate;
            }

            entry = new(++_order, token, isCall, isListen, isInitialize, now, now, cause.Detach(), operation);
            _count++;
            if (!isListen)
            {
                _unsettled.Enter();
            }

            if (!token.IsNone)
            {
                _byProgressToken[token] = id;
            }

            return AddResult.Added;
        }
    }

    /// <summary>
    /// Forgets a request, so that its id can be used again. Until it is also settled the drain waits for it: its answer may
    /// still be on the way out.
    /// </summary>
    /// <returns>How many requests there are to <see cref="Settle"/>; negative when there was none with this id.</returns>
    public int Remove(JsonRpcId id) => Remove(id, out _);

    /// <summary>Forgets a request and hands over what is measured of it, to be ended.</summary>
    public int Remove(JsonRpcId id, out RequestOperation operation)
    {
        operation = default;
        lock (_gate)
        {
            if (!_entries.Remove(id, out var entry))
            {
                return -1;
            }

            _count--;
            operation = entry.Operation;
            if (!entry.ProgressToken.IsNone)
            {
                _byProgressToken.Remove(entry.ProgressToken);
            }

            return entry.IsListen ? 0 : 1;
        }
    }

    /// <summary>Says that nothing more will be sent for requests that were removed.</summary>
    public void Settle(int count)
    {
        if (count > 0)
        {
            _unsettled.Leave(count);
        }
    }

    /// <summary>Forgets all and returns them, oldest first, with whether each is a listen request; the others are to be settled.</summary>
    /// <param name="close">Whether none is taken from now on.</param>
    public List<(JsonRpcId Id, bool IsListen, RequestOperation Operation)> RemoveAll(bool close)
    {
        lock (_gate)
        {
            _closed |= close;
            var all = _entries.OrderBy(entry => entry.Value.Order).Select(entry => (entry.Key, entry.Value.IsListen, entry.Value.Operation)).ToList();
            _count = 0;
            _entries.Clear();
            _byProgressToken.Clear();
            return all;
        }
    }

    /// <summary>The request that asked for progress with this token, or none.</summary>
    public JsonRpcId ByProgressToken(JsonRpcId token)
    {
        lock (_gate)
        {
            return _byProgressToken.GetValueOrDefault(token);
        }
    }

    /// <summary>Notes that the other side has given a sign of life for a request.</summary>
    public void Touch(JsonRpcId id, long now)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(id, out var entry))
            {
                _entries[id] = entry with { LastSign = now };
            }
        }
    }

    /// <summary>The other side's request that one was sent for, or none.</summary>
    public JsonRpcId CauseOf(JsonRpcId id)
    {
        lock (_gate)
        {
            return _entries.GetValueOrDefault(id).Cause;
        }
    }

    /// <summary>Whether there are requests that were sent for this one of the other side's: it waits for their answers.</summary>
    public bool HasCause(JsonRpcId cause)
    {
        lock (_gate)
        {
            return _entries.Values.Any(entry => entry.Cause == cause);
        }
    }

    /// <summary>The requests that take too long; those that listen for ever are none of them.</summary>
    /// <param name="isTooLong">Judges the time since a request came.</param>
    /// <param name="isTooSilent">Judges the time since the other side's last sign of life for it.</param>
    public List<(JsonRpcId Id, bool IsInitialize, bool IsTooLong)> Late(Func<long, bool> isTooLong, Func<long, bool> isTooSilent)
    {
        lock (_gate)
        {
            return [.. from entry in _entries
                       where !entry.Value.IsListen
                       let late = isTooLong(entry.Value.Came)
                       where late || isTooSilent(entry.Value.LastSign)
                       select (entry.Key, entry.Value.IsInitialize, late)];
        }
    }

    /// <summary>
    /// The request that a question or log message of a server without request streams most likely belongs to: the newest
    /// call in flight, since only calls run code of the server's author.
    /// </summary>
    public JsonRpcId NewestCall()
    {
        lock (_gate)
        {
            JsonRpcId newest = default;
            long order = 0;
            foreach (var (id, entry) in _entries)
            {
                if (entry.IsCall && entry.Order > order)
                {
                    (newest, order) = (id, entry.Order);
                }
            }

            return newest;
        }
    }

    /// <summary>Completes when every request but the listening ones, which never end by themselves, has been answered.</summary>
    public Task DrainedAsync() => _unsettled.NoneAsync();

    /// <summary>What came of remembering a request.</summary>
    internal enum AddResult
    {
        Added,
        Duplicate,
        TooMany,
        Closed,
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Entry(
        long Order, JsonRpcId ProgressToken, bool IsCall, bool IsListen, bool IsInitialize, long Came, long LastSign, JsonRpcId Cause, RequestOperation Operation);
}
