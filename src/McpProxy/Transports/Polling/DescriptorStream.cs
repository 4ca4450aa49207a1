using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace McpProxy.Transports.Polling;

/// <summary>
/// A socket or a pipe on an <see cref="EventLoop"/>. What is there is read and written at once, by whoever asks; only waiting is left to
/// the loop, which then continues its caller. One read and one write may be under way at a time.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class DescriptorStream : Stream
{
    private readonly EventLoop _loop;
    private readonly IDisposable _owner;
    private readonly int _slot;
    private readonly ReadingHalf _reading;
    private readonly WritingHalf _writing;
    private int _isDisposed;

    /// <summary>Puts a socket on a loop.</summary>
    /// <param name="loop">The loop.</param>
    /// <param name="socket">The socket, which this stream closes. Its own asynchronous operations must not be used, before or after.</param>
    /// <exception cref="IOException">The system has no more memory for it.</exception>
    public DescriptorStream(EventLoop loop, Socket socket)
        : this(loop, socket, (int)socket.Handle, isSocket: true)
    {
    }

    /// <summary>Puts a pipe on a loop.</summary>
    /// <param name="loop">The loop.</param>
    /// <param name="pipe">The pipe, which this stream closes. It must be in non-blocking mode.</param>
    /// <exception cref="IOException">It is of a kind that cannot be waited for, such as a file.</exception>
    public DescriptorStream(EventLoop loop, SafeHandle pipe)
        : this(loop, pipe, isSocket: false)
    {
    }

    /// <summary>Puts either on a loop.</summary>
    /// <param name="loop">The loop.</param>
    /// <param name="handle">The descriptor, which this stream closes. A pipe must be in non-blocking mode.</param>
    /// <param name="isSocket">Whether it is a socket.</param>
    /// <exception cref="IOException">It is of a kind that cannot be waited for, such as a file.</exception>
    public DescriptorStream(EventLoop loop, SafeHandle handle, bool isSocket)
        : this(loop, handle, (int)handle.DangerousGetHandle(), isSocket)
    {
    }

    private DescriptorStream(EventLoop loop, IDisposable owner, int descriptor, bool isSocket)
    {
        _loop = loop;
        _owner = owner;
        Descriptor = descriptor;
        IsSocket = isSocket;
        _reading = new(this);
        _writing = new(this);
        _slot = loop.Add(this, Descriptor);
    }

    /// <summary>The loop that it is on.</summary>
    public EventLoop Loop => _loop;

    /// <summary>The system's number for it; good for as long as the stream is open.</summary>
    public int Descriptor { get; }

    /// <summary>Whether it is a socket, and no pipe.</summary>
    public bool IsSocket { get; }

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Reads what there is; with an empty buffer, waits until there is something.</summary>
    /// <returns>Zero at the end of the stream.</returns>
    /// <exception cref="IOException">The connection broke; the socket's error is inside.</exception>
    /// <exception cref="ObjectDisposedException">The stream was closed, before or meanwhile.</exception>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _reading.StartAsync(buffer, cancellationToken);

    /// <summary>Reads what there is, if anything, without waiting.</summary>
    /// <returns>Zero at the end of the stream; negative when there is nothing.</returns>
    /// <exception cref="IOException">The connection broke; the socket's error is inside.</exception>
    /// <exception cref="ObjectDisposedException">The stream was closed.</exception>
    public int TryRead(Memory<byte> buffer) => _reading.TryStart(buffer);

    /// <summary>Whether a read would not wait, as the system sees it now: the loop may not have seen it yet.</summary>
    public bool HasInput => _reading.HasInput;

    /// <summary>How many bytes of what was written to a socket the other end has not acknowledged; negative when that cannot be said.</summary>
    public int Unacknowledged => _writing.Unacknowledged;

    /// <summary>Writes all of it.</summary>
    /// <exception cref="IOException">The connection broke; the socket's error is inside. Part of it may have been written.</exception>
    /// <exception cref="ObjectDisposedException">The stream was closed, before or meanwhile.</exception>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        buffer.Length == 0 ? ValueTask.CompletedTask : _writing.StartAsync(buffer, cancellationToken);

    /// <summary>Waits until there is something to read, or the end: so that no buffer need be held meanwhile.</summary>
    /// <exception cref="ObjectDisposedException">The stream was closed, before or meanwhile.</exception>
    public ValueTask WaitToReadAsync(CancellationToken cancellationToken) => _reading.WaitAsync(cancellationToken);

    /// <summary>Waits until something could be written, which for a socket that connects means that this is decided.</summary>
    /// <exception cref="ObjectDisposedException">The stream was closed, before or meanwhile.</exception>
    public ValueTask WaitToWriteAsync(CancellationToken cancellationToken) => _writing.StartAsync(ReadOnlyMemory<byte>.Empty, cancellationToken);

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>Called by the loop.</summary>
    internal void OnEvents(EpollEvents events)
    {
        const EpollEvents Over = EpollEvents.HangUp | EpollEvents.Error;
        if ((events & (EpollEvents.Out | Over)) != 0)
        {
            _writing.OnReady(isOver: (events & Over) != 0);
        }

        if ((events & (EpollEvents.In | EpollEvents.PeerClosed | Over)) != 0)
        {
            _reading.OnReady(isOver: (events & (EpollEvents.PeerClosed | Over)) != 0);
        }
    }

    /// <summary>Closes the descriptor. A read or write under way ends with <see cref="ObjectDisposedException"/>.</summary>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _isDisposed, 1) == 0)
        {
            // Once both halves are closed nobody is inside a call of the system with this number, and nobody will be.
            var isReading = _reading.TryClose();
            var isWriting = _writing.TryClose();
            _loop.Remove(_slot, Descriptor);
            _owner.Dispose();
            if (isReading)
            {
                _reading.EndWaiting();
            }

            if (isWriting)
            {
                _writing.EndWaiting();
            }
        }

        base.Dispose(disposing);
    }
}
