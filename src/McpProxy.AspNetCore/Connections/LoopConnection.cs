using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using McpProxy.Transports.Polling;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace McpProxy.AspNetCore.Connections;

/// <summary>
/// One connection of a client. Once its <see cref="Transport"/> is asked for, what comes is read as soon as it is there, also while nobody asks for it: only so
/// a client is seen to go. No memory is held while nothing comes. Before that, <see cref="Stream"/> is the caller's to read and write.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed partial class LoopConnection : ConnectionContext, IConnectionIdFeature, IConnectionItemsFeature, IConnectionTransportFeature, IConnectionLifetimeFeature, IConnectionEndPointFeature, IMemoryPoolFeature
{
    private const int MaxTogether = 64 * 1024;

    private readonly DescriptorStream _stream;
    private readonly long _number;
    private readonly ILogger _logger;
    private readonly LoopTransportOptions _options;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _closedIsTold = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConnectionFeatures _features;
    private readonly Lock _gate = new();
    private Pipes? _pipes;
    private IDuplexPipe? _transport;
    private ReadOnlyMemory<byte> _returned;
    private Task? _readable;
    private Exception? _end;
    private int _isTelling;
    private string? _id;
    private IDictionary<object, object?>? _items;

    /// <param name="loop">The loop that it lives on.</param>
    /// <param name="handle">The socket, which is its own from now on; where this throws, it is still the caller's.</param>
    /// <param name="number">What it is called in logs.</param>
    /// <param name="local">Where it came in.</param>
    /// <param name="remote">Whose it is.</param>
    /// <param name="memory">What it is read into and written from.</param>
    /// <param name="options">How much it may hold.</param>
    /// <param name="logger">Where it logs.</param>
    public LoopConnection(EventLoop loop, SafeFileHandle handle, long number, IPEndPoint? local, IPEndPoint? remote, MemoryPool<byte> memory, LoopTransportOptions options, ILogger logger)
    {
        _stream = new(loop, handle, isSocket: true);
        _number = number;
        _logger = logger;
        MemoryPool = memory;
        LocalEndPoint = local;
        RemoteEndPoint = remote;
        _features = new(this);
        ConnectionClosed = _closed.Token;
        _options = options;
    }

    /// <summary>The connection itself, for who reads and writes it without <see cref="Transport"/>.</summary>
    public DescriptorStream Stream => _stream;

    public override string ConnectionId
    {
        get => _id ??= _number.ToString("X8", CultureInfo.InvariantCulture);
        set => _id = value;
    }

    public override IFeatureCollection Features => _features;

    public override IDictionary<object, object?> Items
    {
        get => _items ??= new Dictionary<object, object?>();
        set => _items = value;
    }

    public override IDuplexPipe Transport
    {
        get => _transport ??= Begin();
        set => _transport = value;
    }

    public MemoryPool<byte> MemoryPool { get; }

    public override void Abort() => Abort(new ConnectionAbortedException());

    public override void Abort(ConnectionAbortedException? abortReason)
    {
        // The server has a reason less often than the signature says.
        End(abortReason ?? new ConnectionAbortedException(), isBroken: true);
        _pipes?.Output.Reader.CancelPendingRead();
    }

    /// <summary>Ends a connection whose <see cref="Transport"/> was not asked for.</summary>
    /// <param name="error">What broke it off; null for an end in order.</param>
    public void Close(Exception? error)
    {
        End(error is null ? new ConnectionAbortedException("The connection was closed") : Described(error), isBroken: error is not null);
        TellClosedSoon();
    }

    /// <summary>Gives back what was read and is not for who read it: the <see cref="Transport"/> begins with it.</summary>
    /// <param name="unread">The bytes.</param>
    /// <param name="readable">The wait for more that is under way; null where there is none.</param>
    public void Return(ReadOnlyMemory<byte> unread, Task? readable)
    {
        _returned = unread;
        _readable = readable;
    }

    public override async ValueTask DisposeAsync()
    {
        if (_pipes is { } pipes)
        {
            await pipes.Input.Reader.CompleteAsync();
            await pipes.Output.Writer.CompleteAsync();
            await pipes.Receiving;
            await pipes.Sending;
        }
        else
        {
            Close(null);
            await _closedIsTold.Task;
        }

        _closed.Dispose();
        await base.DisposeAsync();
    }

    private DuplexPipe Begin()
    {
        // Whoever has something goes on with it at once, on the thread where it has it: that is what the loop is for.
        var input = new Pipe(new(MemoryPool, PipeScheduler.Inline, PipeScheduler.Inline, _options.MaxReadBufferSize, _options.MaxReadBufferSize / 2, useSynchronizationContext: false));
        var output = new Pipe(new(MemoryPool, PipeScheduler.Inline, PipeScheduler.Inline, _options.MaxWriteBufferSize, _options.MaxWriteBufferSize / 2, useSynchronizationContext: false));
        _pipes = new(input, output);
        _pipes.Receiving = ReceiveAsync(input.Writer);
        _pipes.Sending = SendAsync(input.Writer, output.Reader);
        return new(input.Reader, output.Writer);
    }

    private async Task ReceiveAsync(PipeWriter input)
    {
        Exception? error = null;
        try
        {
            if (!_returned.IsEmpty)
            {
                input.Write(_returned.Span);
                _returned = default;
                await input.FlushAsync();
            }

            if (_readable is { } readable)
            {
                _readable = null;
                await readable;
            }

            var isMoreLikely = false;
            while (true)
            {
                if (!isMoreLikely)
                {
                    // No memory is taken before there is something to put into it.
                    await _stream.WaitToReadAsync(CancellationToken.None);
                }

                var memory = input.GetMemory();
                var count = await _stream.ReadAsync(memory);
                if (count == 0)
                {
                    break;
                }

                isMoreLikely = count == memory.Length;
                input.Advance(count);
                var result = await input.FlushAsync();
                if (result.IsCompleted || result.IsCanceled)
                {
                    break;
                }
            }
        }
        catch (Exception e)
        {
            error = Described(e);
        }

        if (error is not null)
        {
            // It may have been broken off by somebody who is in the middle of something: what goes on here must not do so underneath.
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        }

        await input.CompleteAsync(_end ?? error);
        TellClosedSoon();
        await _closedIsTold.Task;
    }

    private async Task SendAsync(PipeWriter input, PipeReader output)
    {
        Exception? error = null;
        try
        {
            while (true)
            {
                var result = await output.ReadAsync();
                if (result.IsCanceled)
                {
                    break;
                }

                await WriteAsync(result.Buffer);
                output.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    break;
                }
            }
        }
        catch (Exception e)
        {
            error = Described(e);
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        }

        End(error ?? new ConnectionAbortedException("The connection was closed after what was to be sent"), isBroken: error is not null);

        // Who wrote what could not be sent learns it from the end of the connection.
        await output.CompleteAsync();
        input.CancelPendingFlush();
    }

    /// <summary>Writes the blocks of a pipe: many are copied together, since a call of the system for each would take longer.</summary>
    private async ValueTask WriteAsync(ReadOnlySequence<byte> bytes)
    {
        if (bytes.IsSingleSegment)
        {
            await _stream.WriteAsync(bytes.First);
            return;
        }

        var together = ArrayPool<byte>.Shared.Rent((int)Math.Min(bytes.Length, MaxTogether));
        try
        {
            while (!bytes.IsEmpty)
            {
                var part = bytes.Slice(0, Math.Min(bytes.Length, together.Length));
                part.CopyTo(together);
                await _stream.WriteAsync(together.AsMemory(0, (int)part.Length));
                bytes = bytes.Slice(part.End);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(together);
        }
    }

    /// <summary>Closes the socket, once: its number may be another's right afterwards. The first reason counts.</summary>
    private void End(Exception reason, bool isBroken)
    {
        lock (_gate)
        {
            if (_end is not null)
            {
                return;
            }

            _end = reason;
            if (isBroken)
            {
                SocketCalls.BreakOnClose(_stream.Descriptor);
            }
            else
            {
                SocketCalls.Shutdown(_stream.Descriptor);
            }
        }

        _stream.Dispose();
    }

    /// <summary>On another thread: who is told may do what it likes.</summary>
    private void TellClosedSoon()
    {
        if (Interlocked.Exchange(ref _isTelling, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static connection => connection.TellClosed(), this, preferLocal: false);
        }
    }

    private void TellClosed()
    {
        try
        {
            _closed.Cancel();
        }
        catch (AggregateException e)
        {
            LogDefect(e, ConnectionId);
        }

        _closedIsTold.TrySetResult();
    }

    private static Exception Described(Exception e) => e switch
    {
        IOException { InnerException: SocketException { SocketErrorCode: SocketError.ConnectionReset or SocketError.Shutdown or SocketError.ConnectionAborted } } => new ConnectionResetException(e.Message, e),
        _ => e,
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while closing connection {Id}")]
    private partial void LogDefect(Exception exception, string id);

    /// <summary>What is behind the <see cref="Transport"/>.</summary>
    private sealed class Pipes(Pipe input, Pipe output)
    {
        public Pipe Input => input;

        public Pipe Output => output;

        public Task Receiving { get; set; } = Task.CompletedTask;

        public Task Sending { get; set; } = Task.CompletedTask;
    }
}
