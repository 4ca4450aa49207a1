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
/// One connection of a client. What comes is read as soon as it is there, also while nobody asks for it: only so a client is seen to go. No memory is held
/// while nothing comes.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed partial class LoopConnection : ConnectionContext, IConnectionIdFeature, IConnectionItemsFeature, IConnectionTransportFeature, IConnectionLifetimeFeature, IConnectionEndPointFeature, IMemoryPoolFeature
{
    private const int MaxTogether = 64 * 1024;

    private readonly DescriptorStream _stream;
    private readonly long _number;
    private readonly ILogger _logger;
    private readonly Pipe _input;
    private readonly Pipe _output;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _closedIsTold = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConnectionFeatures _features;
    private readonly Lock _gate = new();
    private readonly Task _receiving;
    private readonly Task _sending;
    private Exception? _end;
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

        // Whoever has something goes on with it at once, on the thread where it has it: that is what the loop is for.
        _input = new(new(memory, PipeScheduler.Inline, PipeScheduler.Inline, options.MaxReadBufferSize, options.MaxReadBufferSize / 2, useSynchronizationContext: false));
        _output = new(new(memory, PipeScheduler.Inline, PipeScheduler.Inline, options.MaxWriteBufferSize, options.MaxWriteBufferSize / 2, useSynchronizationContext: false));
        Transport = new DuplexPipe(_input.Reader, _output.Writer);
        _receiving = ReceiveAsync();
        _sending = SendAsync();
    }

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

    public override IDuplexPipe Transport { get; set; }

    public MemoryPool<byte> MemoryPool { get; }

    public override void Abort() => Abort(new ConnectionAbortedException());

    public override void Abort(ConnectionAbortedException? abortReason)
    {
        // The server has a reason less often than the signature says.
        End(abortReason ?? new ConnectionAbortedException(), isBroken: true);
        _output.Reader.CancelPendingRead();
    }

    public override async ValueTask DisposeAsync()
    {
        await _input.Reader.CompleteAsync();
        await _output.Writer.CompleteAsync();
        await _receiving;
        await _sending;
        _closed.Dispose();
        await base.DisposeAsync();
    }

    private async Task ReceiveAsync()
    {
        Exception? error = null;
        try
        {
            var isMoreLikely = false;
            while (true)
            {
                if (!isMoreLikely)
                {
                    // No memory is taken before there is something to put into it.
                    await _stream.WaitToReadAsync(CancellationToken.None);
                }

                var memory = _input.Writer.GetMemory();
                var count = await _stream.ReadAsync(memory);
                if (count == 0)
                {
                    break;
                }

                isMoreLikely = count == memory.Length;
                _input.Writer.Advance(count);
                var result = await _input.Writer.FlushAsync();
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

        await _input.Writer.CompleteAsync(_end ?? error);
        ThreadPool.UnsafeQueueUserWorkItem(static connection => connection.TellClosed(), this, preferLocal: false);
        await _closedIsTold.Task;
    }

    private async Task SendAsync()
    {
        Exception? error = null;
        try
        {
            while (true)
            {
                var result = await _output.Reader.ReadAsync();
                if (result.IsCanceled)
                {
                    break;
                }

                await WriteAsync(result.Buffer);
                _output.Reader.AdvanceTo(result.Buffer.End);
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
        await _output.Reader.CompleteAsync();
        _input.Writer.CancelPendingFlush();
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
}
