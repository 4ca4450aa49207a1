using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace McpProxy.Transports.Polling;

/// <summary>
/// One thread that waits for many descriptors at once (epoll) and continues there whoever waited for one of them. The runtime's own
/// engine hands everything on to other threads and knows no end of a batch: for small messages that costs more than the messages.
/// </summary>
/// <remarks>What continues on this thread must not block it.</remarks>
[SupportedOSPlatform("linux")]
internal sealed unsafe class EventLoop : IDisposable
{
    private const int BatchSize = 256;

    private readonly Lock _gate = new();
    private readonly List<IBatchEnd> _atEnd = [];
    private readonly List<IBatchEnd> _ending = [];
    private readonly Stack<int> _free = [];
    private readonly Thread _thread;
    private readonly int _poll;
    private readonly int _wake;
    private DescriptorStream?[] _descriptors = new DescriptorStream?[16];
    private int _used;
    private int _isStopping;

    /// <summary>Starts the loop.</summary>
    /// <param name="name">The thread's name.</param>
    /// <exception cref="IOException">The system has no more descriptors.</exception>
    public EventLoop(string name)
    {
        _poll = Libc.EpollCreate(Libc.CloseOnExec);
        if (_poll < 0)
        {
            throw Libc.Error("epoll", Marshal.GetLastPInvokeError());
        }

        _wake = Libc.EventFd(0, Libc.CloseOnExec | Libc.NonBlocking);
        if (_wake < 0 || !TryWatch(_wake, EpollEvents.In, -1))
        {
            var error = Marshal.GetLastPInvokeError();
            CloseAll();
            throw Libc.Error("eventfd", error);
        }

        _thread = new(Run) { IsBackground = true, Name = name };
        _thread.Start();
    }

    /// <summary>Whether this is the loop's thread.</summary>
    public bool IsCurrent => Thread.CurrentThread == _thread;

    /// <summary>The number of the batch that is being handled.</summary>
    public int Batch { get; private set; }

    /// <summary>Has work done after what this batch of events sets off; for the loop's own thread only.</summary>
    public void AtBatchEnd(IBatchEnd work) => _atEnd.Add(work);

    /// <summary>Ends the thread. Streams that are still open wait for ever: they come first.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isStopping, 1) == 0)
        {
            ulong one = 1;
            _ = Libc.Write(_wake, (byte*)&one, sizeof(ulong));
        }
    }

    /// <summary>Begins to watch a descriptor, edge-triggered, for both directions.</summary>
    /// <returns>What <see cref="Remove"/> wants.</returns>
    /// <exception cref="IOException">The descriptor is of a kind that cannot be waited for, or the system has no more memory for it.</exception>
    internal int Add(DescriptorStream stream, int descriptor)
    {
        int slot;
        lock (_gate)
        {
            if (!_free.TryPop(out slot))
            {
                slot = _used++;
                if (slot == _descriptors.Length)
                {
                    var more = new DescriptorStream?[slot * 2];
                    _descriptors.CopyTo(more, 0);
                    Volatile.Write(ref _descriptors, more);
                }
            }

            Volatile.Write(ref _descriptors[slot], stream);
        }

        if (!TryWatch(descriptor, EpollEvents.In | EpollEvents.Out | EpollEvents.PeerClosed | EpollEvents.EdgeTriggered, slot))
        {
            var error = Marshal.GetLastPInvokeError();
            Forget(slot);
            throw Libc.Error("epoll", error);
        }

        return slot;
    }

    /// <summary>Watches it no more.</summary>
    internal void Remove(int slot, int descriptor)
    {
        _ = Libc.EpollControl(_poll, Libc.EpollDelete, descriptor, null);
        Forget(slot);
    }

    private void Forget(int slot)
    {
        // An event of this slot that was already fetched may now reach its next owner: it looks, and finds nothing there.
        lock (_gate)
        {
            _descriptors[slot] = null;
            _free.Push(slot);
        }
    }

    private bool TryWatch(int descriptor, EpollEvents events, int slot)
    {
        var entry = stackalloc byte[EpollEntry.MaxSize];
        EpollEntry.Write(entry, events, slot);
        return Libc.EpollControl(_poll, Libc.EpollAdd, descriptor, entry) == 0;
    }

    private void Run()
    {
        var entries = stackalloc byte[EpollEntry.MaxSize * BatchSize];
        while (Volatile.Read(ref _isStopping) == 0)
        {
            var count = Libc.EpollWait(_poll, entries, BatchSize, _atEnd.Count > 0 ? 0 : -1);
            Batch++;
            for (var i = 0; i < count; i++)
            {
                var (events, slot) = EpollEntry.Read(entries, i);
                if (slot >= 0)
                {
                    At(slot)?.OnEvents(events);
                }
            }

            EndBatch();
        }

        CloseAll();
    }

    /// <summary>Without the lock: the array only ever grows, and what it holds is looked at again by whoever is told of an event.</summary>
    private DescriptorStream? At(int slot) => Volatile.Read(ref Volatile.Read(ref _descriptors)[slot]);

    private void EndBatch()
    {
        // What is added by this work belongs to the next batch, which comes at once then: events that are waiting have their turn first.
        _ending.AddRange(_atEnd);
        _atEnd.Clear();
        foreach (var work in _ending)
        {
            work.OnBatchEnd();
        }

        _ending.Clear();
    }

    private void CloseAll()
    {
        _ = Libc.Close(_poll);
        if (_wake >= 0)
        {
            _ = Libc.Close(_wake);
        }
    }
}
