using System.Collections.Concurrent;

namespace McpProxy.AspNetCore;

/// <summary>The responses that are open, so that one clock can keep all of them alive.</summary>
internal sealed class OpenStreams(TimeSpan interval)
{
    private readonly ConcurrentDictionary<EventStream, byte> _streams = [];

    public void Add(EventStream stream) => _streams.TryAdd(stream, 0);

    public void Remove(EventStream stream) => _streams.TryRemove(stream, out _);

    /// <summary>Called every third of the interval, so that no stream is silent for longer than the interval.</summary>
    public void Tick()
    {
        foreach (var (stream, _) in _streams)
        {
            // Not awaited: a client that does not read must not hold up the others. The stream handles its own failures.
            _ = stream.KeepAliveAsync(interval * 0.6);
        }
    }
}
