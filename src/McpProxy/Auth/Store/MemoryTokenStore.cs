namespace McpProxy.Auth.Store;

/// <summary>Keeps sign-ins until the process ends.</summary>
internal sealed class MemoryTokenStore : ITokenStore
{
    private readonly Lock _gate = new();
    private readonly Dictionary<StoreKey, StoredSignIn> _signIns = [];
    private readonly Dictionary<StoreKey, StoredFlow> _flows = [];
    private readonly HashSet<(StoreKey Key, StoreLock Kind)> _locked = [];

    public StoredSignIn Read(StoreKey key) => Find(key) ?? StoredSignIn.For(key);

    /// <summary>What is stored for a key; null when nothing is.</summary>
    public StoredSignIn? Find(StoreKey key)
    {
        lock (_gate)
        {
            return _signIns.GetValueOrDefault(key);
        }
    }

    /// <summary>Forgets what is stored for a key.</summary>
    public void Forget(StoreKey key)
    {
        lock (_gate)
        {
            _signIns.Remove(key);
        }
    }

    public void Write(StoreKey key, StoredSignIn signIn, bool isProvisional = false)
    {
        lock (_gate)
        {
            _signIns[key] = signIn;
        }
    }

    public StoredFlow? ReadFlow(StoreKey key)
    {
        lock (_gate)
        {
            return _flows.GetValueOrDefault(key);
        }
    }

    public void WriteFlow(StoreKey key, StoredFlow? flow)
    {
        lock (_gate)
        {
            if (flow is null)
            {
                _flows.Remove(key);
            }
            else
            {
                _flows[key] = flow;
            }
        }
    }

    public IDisposable? TryLock(StoreKey key, StoreLock kind)
    {
        lock (_gate)
        {
            return _locked.Add((key, kind)) ? new Held(this, (key, kind)) : null;
        }
    }

    private sealed class Held(MemoryTokenStore store, (StoreKey Key, StoreLock Kind) entry) : IDisposable
    {
        public void Dispose()
        {
            lock (store._gate)
            {
                store._locked.Remove(entry);
            }
        }
    }
}
