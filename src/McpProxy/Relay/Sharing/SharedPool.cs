using McpProxy.Transports;

namespace McpProxy.Relay.Sharing;

/// <summary>A few servers, each shared by clients that need none of their own: a request goes where the fewest are in flight.</summary>
/// <param name="make">Makes another shared server.</param>
/// <param name="size">How many there may be. Another is started when all that exist are busy.</param>
public sealed class SharedPool(Func<SharedUpstream> make, int size) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly List<SharedUpstream> _members = [];

    /// <summary>Connects one client.</summary>
    public IConnection Connect()
    {
        lock (_gate)
        {
            var freest = _members.MinBy(member => member.LaneCount);
            if (freest is null || (freest.LaneCount > 0 && _members.Count < size))
            {
                _members.Add(freest = make());
            }

            return freest.Connect();
        }
    }

    /// <summary>Ends the servers that no client has used for a while.</summary>
    public async ValueTask CloseWhenIdleAsync(TimeSpan idle)
    {
        foreach (var member in Members())
        {
            await member.CloseWhenIdleAsync(idle);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await Task.WhenAll(Members().Select(member => member.DisposeAsync().AsTask()));

    private List<SharedUpstream> Members()
    {
        lock (_gate)
        {
            return [.. _members];
        }
    }
}
