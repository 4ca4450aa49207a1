using System.Runtime.InteropServices;
using McpProxy.AspNetCore.Responses;

namespace McpProxy.AspNetCore.Sessions;

/// <summary>The last events of a session, for a client that lost its connection (MCP 2025-11-25, "Resumability and Redelivery").</summary>
internal sealed class ReplayBuffer
{
    private readonly int _maxEvents;
    private readonly int _maxBytes;
    private readonly ReplayLimit _limit;
    private readonly LinkedList<Entry> _entries = [];
    private bool _isClosed;
    private long _sequence;
    private int _bytes;

    /// <summary>Makes one that is empty.</summary>
    /// <param name="maxEvents">The most events that are kept.</param>
    /// <param name="maxBytes">The most bytes of them; one alone may be larger.</param>
    /// <param name="limit">What all sessions may hold together.</param>
    public ReplayBuffer(int maxEvents, int maxBytes, ReplayLimit limit)
    {
        (_maxEvents, _maxBytes, _limit) = (maxEvents, maxBytes, limit);
        Place = new(this);
    }

    /// <summary>How many events there are.</summary>
    public int Count => _entries.Count;

    /// <summary>Where the <see cref="ReplayLimit"/> has it.</summary>
    public LinkedListNode<ReplayBuffer> Place { get; }

    /// <summary>The number of the next event.</summary>
    public long Next()
    {
        lock (_limit.Gate)
        {
            return ++_sequence;
        }
    }

    /// <summary>Whether an event is larger than all that are kept may be: it is kept only while it could not be sent.</summary>
    public bool IsLarge(int length) => length > _maxBytes;

    /// <summary>Keeps an event.</summary>
    /// <param name="stream">The number of the stream that it belongs to.</param>
    /// <param name="sequence">Its own number.</param>
    /// <param name="data">The message.</param>
    public void Keep(int stream, long sequence, ReadOnlySpan<byte> data)
    {
        var entry = new Entry(sequence, stream, data.ToArray());
        lock (_limit.Gate)
        {
            if (_isClosed)
            {
                return;
            }

            _entries.AddLast(entry);
            _bytes += data.Length;
            _limit.Added(this, data.Length);
            while (_entries.Count > _maxEvents || (_bytes > _maxBytes && _entries.Count > 1))
            {
                DropOldest();
            }
        }
    }

    /// <summary>Forgets the oldest event; for who holds the <see cref="ReplayLimit.Gate"/>.</summary>
    public void DropOldest() => Drop(_entries.First!);

    /// <summary>Forgets everything: the session is over.</summary>
    public void Close()
    {
        lock (_limit.Gate)
        {
            _isClosed = true;
            while (_entries.Count > 0)
            {
                DropOldest();
            }
        }
    }

    /// <summary>An event was sent: a large one is not kept for a client that might come back.</summary>
    public void Sent(long sequence)
    {
        lock (_limit.Gate)
        {
            if (_bytes <= _maxBytes)
            {
                return;
            }

            for (var node = _entries.First; node is not null; node = node.Next)
            {
                if (node.Value.Sequence == sequence && node.Value.Data.Length > _maxBytes)
                {
                    Drop(node);
                    return;
                }
            }
        }
    }

    /// <summary>The events of a stream that came after one of its events.</summary>
    public IReadOnlyList<(EventId Id, byte[] Data)> After(int stream, long sequence)
    {
        lock (_limit.Gate)
        {
            // As for every new stream of a session whose answers are all JSON.
            return _entries.Count == 0 ? [] : [.. _entries.Where(entry => entry.Stream == stream && entry.Sequence > sequence).Select(entry => (new EventId(stream, entry.Sequence), entry.Data))];
        }
    }

    private void Drop(LinkedListNode<Entry> node)
    {
        _entries.Remove(node);
        _bytes -= node.Value.Data.Length;
        _limit.Dropped(this, node.Value.Data.Length);
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Entry(long Sequence, int Stream, byte[] Data);
}
