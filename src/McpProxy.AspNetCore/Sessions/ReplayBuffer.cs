using System.Runtime.InteropServices;
using McpProxy.AspNetCore.Responses;

namespace McpProxy.AspNetCore.Sessions;

/// <summary>The last events of a session, for a client that lost its connection (MCP 2025-11-25, "Resumability and Redelivery").</summary>
internal sealed class ReplayBuffer(int maxEvents, int maxBytes)
{
    private readonly Lock _gate = new();
    private readonly LinkedList<Entry> _entries = [];
    private long _sequence;
    private int _bytes;

    /// <summary>The number of the next event.</summary>
    public long Next()
    {
        lock (_gate)
        {
            return ++_sequence;
        }
    }

    /// <summary>Whether an event is larger than all that are kept may be: it is kept only while it could not be sent.</summary>
    public bool IsLarge(int length) => length > maxBytes;

    /// <summary>Keeps an event.</summary>
    /// <param name="stream">The number of the stream that it belongs to.</param>
    /// <param name="sequence">Its own number.</param>
    /// <param name="data">The message.</param>
    public void Keep(int stream, long sequence, ReadOnlySpan<byte> data)
    {
        var entry = new Entry(sequence, stream, data.ToArray());
        lock (_gate)
        {
            _entries.AddLast(entry);
            _bytes += data.Length;
            while (_entries.Count > maxEvents || (_bytes > maxBytes && _entries.Count > 1))
            {
                _bytes -= _entries.First!.Value.Data.Length;
                _entries.RemoveFirst();
            }
        }
    }

    /// <summary>An event was sent: a large one is not kept for a client that might come back.</summary>
    public void Sent(long sequence)
    {
        lock (_gate)
        {
            if (_bytes <= maxBytes)
            {
                return;
            }

            for (var node = _entries.First; node is not null; node = node.Next)
            {
                if (node.Value.Sequence == sequence && node.Value.Data.Length > maxBytes)
                {
                    _bytes -= node.Value.Data.Length;
                    _entries.Remove(node);
                    return;
                }
            }
        }
    }

    /// <summary>The events of a stream that came after one of its events.</summary>
    public IReadOnlyList<(EventId Id, byte[] Data)> After(int stream, long sequence)
    {
        lock (_gate)
        {
            // As for every new stream of a session whose answers are all JSON.
            return _entries.Count == 0 ? [] : [.. _entries.Where(entry => entry.Stream == stream && entry.Sequence > sequence).Select(entry => (new EventId(stream, entry.Sequence), entry.Data))];
        }
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Entry(long Sequence, int Stream, byte[] Data);
}
