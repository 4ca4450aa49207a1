namespace McpProxy.Eras.ModernClient;

/// <summary>The legacy sessions that serve modern clients, one for each client of each principal.</summary>
internal sealed class LegacySessionPool : IAsyncDisposable
{
    private readonly BridgeContext _context;
    private readonly HandedOver _connections;
    private readonly Lock _gate = new();
    private readonly Dictionary<SessionKey, LegacySession> _sessions = [];
    private readonly HashSet<LegacySession> _retired = [];
    private bool _isClosed;

    public LegacySessionPool(BridgeContext context)
    {
        _context = context;
        _connections = new(context.Upstream);
        Waiting = new(context.Options.MaxWaitingCalls);
    }

    /// <summary>The calls that wait for their clients to come back.</summary>
    public WaitingCalls Waiting { get; }

    /// <summary>How many sessions there are.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _sessions.Count;
            }
        }
    }

    /// <summary>Offers a connection on which no session was begun to the next session.</summary>
    public ValueTask OfferAsync(OpenConnection connection) => _connections.OfferAsync(connection);

    /// <summary>The session of a client, leased; null when there can be none.</summary>
    public LegacySession? Lease(SessionKey key)
    {
        LegacySession? longestIdle = null;
        lock (_gate)
        {
            if (_isClosed)
            {
                return null;
            }

            if (_sessions.TryGetValue(key, out var session) && session.TryLease())
            {
                return session;
            }

            if (_sessions.Count >= _context.Options.MaxSessions)
            {
                longestIdle = _sessions.Values.Where(candidate => candidate.IdleSince is not null).MinBy(candidate => candidate.IdleSince);
            }
        }

        // Outside of the lock, which the end of a session takes.
        longestIdle?.TryClose();
        LegacySession opened;
        lock (_gate)
        {
            if (_isClosed || (_sessions.Count >= _context.Options.MaxSessions && !_sessions.ContainsKey(key)))
            {
                return null;
            }

            if (_sessions.TryGetValue(key, out var session) && session.TryLease())
            {
                return session;
            }

            var connection = _connections.Connect();
            opened = new(_context, key, connection as OpenConnection ?? new OpenConnection(connection), Waiting, Remove);
            opened.TryLease();
            _sessions[key] = opened;
        }

        opened.Start();
        return opened;
    }

    /// <summary>The server is another one now: no session gets another request, and each is closed when those that it has are done.</summary>
    public void Retire()
    {
        List<LegacySession> sessions;
        lock (_gate)
        {
            sessions = [.. _sessions.Values];
            _sessions.Clear();
            _retired.UnionWith(sessions);
        }

        sessions.ForEach(session => session.Retire());
    }

    public async ValueTask DisposeAsync()
    {
        List<LegacySession> sessions;
        lock (_gate)
        {
            _isClosed = true;
            sessions = [.. _sessions.Values, .. _retired];
        }

        await Task.WhenAll(sessions.Select(session => session.DisposeAsync().AsTask()));
        await _connections.DisposeAsync();
        Waiting.Dispose();
    }

    private void Remove(LegacySession session)
    {
        lock (_gate)
        {
            _retired.Remove(session);
            if (_sessions.GetValueOrDefault(session.Key) == session)
            {
                _sessions.Remove(session.Key);
            }
        }
    }
}
