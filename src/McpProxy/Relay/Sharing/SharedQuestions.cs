using McpProxy.JsonRpc;

namespace McpProxy.Relay.Sharing;

/// <summary>What a shared server has asked which client.</summary>
internal sealed class SharedQuestions
{
    private const int MaxNames = 10_000;

    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, (SharedLane Lane, JsonRpcId ProgressToken)> _asked = [];
    private readonly Dictionary<string, SharedLane> _byName = new(StringComparer.Ordinal);
    private readonly Queue<string> _names = new();

    /// <summary>The server asks a client.</summary>
    /// <returns>False when it has asked something under this id already.</returns>
    public bool TryAdd(SharedLane lane, in JsonRpcMessage request)
    {
        lock (_gate)
        {
            return _asked.TryAdd(request.Id.Detach(), (lane, request.ProgressToken().Detach()));
        }
    }

    /// <summary>Whether a client's response answers something that it was asked; nothing else may reach the server.</summary>
    public bool TryTake(SharedLane lane, JsonRpcId id)
    {
        lock (_gate)
        {
            return _asked.TryGetValue(id, out var asked) && asked.Lane == lane && _asked.Remove(id);
        }
    }

    /// <summary>The client that was asked under an id which the server takes back.</summary>
    public SharedLane? Withdraw(JsonRpcId id)
    {
        lock (_gate)
        {
            return _asked.Remove(id, out var asked) ? asked.Lane : null;
        }
    }

    /// <summary>Whether a client was asked something that reports progress under this token.</summary>
    public bool HasToken(SharedLane lane, JsonRpcId token)
    {
        lock (_gate)
        {
            return !token.IsNone && _asked.Values.Any(asked => asked.Lane == lane && asked.ProgressToken == token);
        }
    }

    /// <summary>A client is gone.</summary>
    /// <returns>What it leaves unanswered.</returns>
    public List<JsonRpcId> RemoveAll(SharedLane lane)
    {
        lock (_gate)
        {
            List<JsonRpcId> left = [.. _asked.Where(entry => entry.Value.Lane == lane).Select(entry => entry.Key)];
            left.ForEach(id => _asked.Remove(id));
            foreach (var name in _byName.Where(entry => entry.Value == lane).Select(entry => entry.Key).ToList())
            {
                _byName.Remove(name);
            }

            return left;
        }
    }

    /// <summary>The server that asked is gone.</summary>
    /// <returns>What nobody waits for any more, and who was asked it.</returns>
    public List<(JsonRpcId Id, SharedLane Lane)> Clear()
    {
        lock (_gate)
        {
            List<(JsonRpcId, SharedLane)> all = [.. _asked.Select(entry => (entry.Key, entry.Value.Lane))];
            _asked.Clear();
            return all;
        }
    }

    /// <summary>Remembers whose something is that later notifications only name: a task, an elicitation at a URL.</summary>
    public void Name(string name, SharedLane lane)
    {
        lock (_gate)
        {
            _byName[name] = lane;
            _names.Enqueue(name);
            if (_names.Count > MaxNames)
            {
                _byName.Remove(_names.Dequeue());
            }
        }
    }

    /// <summary>Whose something is.</summary>
    public SharedLane? Named(string name)
    {
        lock (_gate)
        {
            return _byName.GetValueOrDefault(name);
        }
    }
}
