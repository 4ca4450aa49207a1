namespace McpProxy.AspNetCore.Limits;

/// <summary>How fast each client may go on asking. It remembers a bounded number of clients: those who have been quiet are forgotten first.</summary>
internal sealed class RateLimiter(RequestLimits limits, TimeProvider time, int maxClients = 10_000)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Allowance> _clients = new(StringComparer.Ordinal);

    // Who comes when too many are remembered shares one allowance with the others who do.
    private readonly Allowance _crowd = new(limits, time);

    /// <summary>Clients that are remembered.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _clients.Count;
            }
        }
    }

    /// <summary>Whether one more HTTP request of a client is read at all.</summary>
    /// <returns>Null when it is, else how long until it would be.</returns>
    public TimeSpan? Read(string client)
    {
        lock (_gate)
        {
            var reads = Of(client).Reads;
            return reads.TryTake(1) ? null : reads.Until(1);
        }
    }

    /// <summary>Whether a client may make so many requests now.</summary>
    /// <returns>Null when it may, else how long until it may.</returns>
    public TimeSpan? Ask(string client, int count)
    {
        lock (_gate)
        {
            var requests = Of(client).Requests;
            return requests.TryTake(count) ? null : requests.Until(count);
        }
    }

    private Allowance Of(string client)
    {
        if (_clients.TryGetValue(client, out var allowance))
        {
            return allowance;
        }

        if (_clients.Count >= maxClients)
        {
            foreach (var quiet in _clients.Where(entry => entry.Value.Requests.IsFull && entry.Value.Reads.IsFull).Select(entry => entry.Key).ToList())
            {
                _clients.Remove(quiet);
            }

            if (_clients.Count >= maxClients)
            {
                return _crowd;
            }
        }

        return _clients[client] = new(limits, time);
    }

    private sealed class Allowance(RequestLimits limits, TimeProvider time)
    {
        public TokenBucket Requests { get; } = new(limits.RequestsPerSecond, limits.EffectiveBurst, time);

        public TokenBucket Reads { get; } = new(2 * limits.RequestsPerSecond, 2 * limits.EffectiveBurst, time);
    }
}
