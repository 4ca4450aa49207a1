namespace McpProxy.AspNetCore.Sessions;

/// <summary>
/// What the <see cref="ReplayBuffer"/>s of an endpoint may hold together: clients that never come back must not fill the memory, however
/// many sessions they leave behind. Beyond it the sessions that have kept nothing for the longest lose their oldest events.
/// </summary>
/// <param name="maxBytes">The most, in bytes; the newest event alone may be more.</param>
internal sealed class ReplayLimit(long maxBytes)
{
    private readonly LinkedList<ReplayBuffer> _byAge = [];
    private long _bytes;

    /// <summary>Held by whoever changes one of the buffers.</summary>
    public Lock Gate { get; } = new();

    /// <summary>A buffer has one more event: it is the youngest now.</summary>
    public void Added(ReplayBuffer buffer, int length)
    {
        if (buffer.Place.List is not null)
        {
            _byAge.Remove(buffer.Place);
        }

        _byAge.AddLast(buffer.Place);
        _bytes += length;
        while (_bytes > maxBytes && (_byAge.Count > 1 || buffer.Count > 1))
        {
            _byAge.First!.Value.DropOldest();
        }
    }

    /// <summary>A buffer has one event less.</summary>
    public void Dropped(ReplayBuffer buffer, int length)
    {
        _bytes -= length;
        if (buffer.Count == 0)
        {
            _byAge.Remove(buffer.Place);
        }
    }
}
