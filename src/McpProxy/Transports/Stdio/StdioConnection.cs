using System.Runtime.Versioning;
using McpProxy.JsonRpc;
using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Stdio;

/// <summary>The peer that started this program: messages on its standard input and output (MCP "stdio").</summary>
public sealed class StdioConnection : IConnection
{
    private static readonly TimeSpan s_hangUpInterval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_lastWriteTimeout = TimeSpan.FromSeconds(1);

    private readonly Stream _input;
    private readonly StdioWriter _writer;
    private readonly int _maxMessageSize;
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isThisProcess;
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Makes a connection of two streams.</summary>
    /// <param name="input">What the peer writes. It is read on a thread of its own, with blocking reads.</param>
    /// <param name="output">What the peer reads. It is written with blocking writes.</param>
    /// <param name="maxMessageSize">The longest line that is accepted, in bytes.</param>
    public StdioConnection(Stream input, Stream output, int maxMessageSize = TransportDefaults.MaxMessageSize)
        : this(input, new StdioWriter(output, isBlocking: true), maxMessageSize)
    {
    }

    private StdioConnection(Stream input, StdioWriter writer, int maxMessageSize)
    {
        _input = input;
        _writer = writer;
        _writer.Broken = () => _ended.TrySetResult(new(ConnectionEndReason.TransportFailed, "the client no longer reads standard output"));
        _maxMessageSize = maxMessageSize;
    }

    /// <summary>The connection of this process's own standard streams.</summary>
    /// <param name="maxMessageSize">The longest line that is accepted, in bytes.</param>
    public static StdioConnection OfThisProcess(int maxMessageSize = TransportDefaults.MaxMessageSize) =>
        new(Console.OpenStandardInput(), Console.OpenStandardOutput(), maxMessageSize) { _isThisProcess = true };

    /// <summary>The same on an event loop, as far as what the streams stand for allows it.</summary>
    [SupportedOSPlatform("linux")]
    internal static StdioConnection OfThisProcess(int maxMessageSize, EventLoop loop)
    {
        var input = StandardStream.TryOpen(0, FileAccess.Read, loop);
        var output = StandardStream.TryOpen(1, FileAccess.Write, loop);

        // What did not reach a client that is gone has nobody to reach.
        var writer = new StdioWriter(output ?? Console.OpenStandardOutput(), isBlocking: output is null, confirms: output is null);
        return new(input ?? Console.OpenStandardInput(), writer, maxMessageSize) { _isThisProcess = true };
    }

    /// <inheritdoc/>
    public bool HasRequestStreams => false;

    /// <inheritdoc/>
    public Task Gone => _gone.Task;

    /// <inheritdoc/>
    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));

        if (OperatingSystem.IsLinux() && _input is DescriptorStream)
        {
            _ = ReadAsync(receiver, cancellationToken);
        }
        else
        {
            // A thread of its own: it has no asynchronous reads, and a blocked pool thread would starve the rest.
            Start(() => Read(receiver, cancellationToken), "stdin");
        }

        return _ended.Task;
    }

    /// <inheritdoc/>
    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) => _writer.WriteAsync(message.Utf8, cancellationToken);

    /// <inheritdoc/>
    public ValueTask FlushAsync(CancellationToken cancellationToken) => _writer.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        using var timeout = new CancellationTokenSource(s_lastWriteTimeout);
        try
        {
            await _writer.FlushAsync(timeout.Token);
        }
        catch (OperationCanceledException)
        {
            // The client does not read.
        }
    }

    private static void Start(ThreadStart work, string name) => new Thread(work, 512 * 1024) { IsBackground = true, Name = name }.Start();

    private void Read(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        using var lines = new LineBuffer(_maxMessageSize);
        try
        {
            while (!cancellationToken.IsCancellationRequested)
            {
                var count = _input.Read(lines.Free().Span);
                lines.Filled(count);
                while (count > 0 ? lines.TryTake(out var line, out var fault) : lines.TryTakeRest(out line, out fault))
                {
                    Deliver(MessageDispatcher.DispatchAsync(line, fault, receiver, onNoise: null, cancellationToken));
                }

                if (count == 0)
                {
                    EndOfInput();
                    WatchOutput(cancellationToken);
                    return;
                }
            }
        }
        catch (Exception e)
        {
            EndWith(e);
        }
    }

    /// <summary>The same on an event loop.</summary>
    private async Task ReadAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        using var lines = new LineBuffer(_maxMessageSize);
        try
        {
            while (!cancellationToken.IsCancellationRequested)
            {
                var count = await _input.ReadAsync(lines.Free(), cancellationToken);
                lines.Filled(count);
                while (count > 0 ? lines.TryTake(out var line, out var fault) : lines.TryTakeRest(out line, out fault))
                {
                    await DeliverAsync(MessageDispatcher.DispatchAsync(line, fault, receiver, onNoise: null, cancellationToken));
                }

                if (count == 0)
                {
                    EndOfInput();
                    Start(() => WatchOutput(cancellationToken), "stdout");
                    return;
                }
            }
        }
        catch (Exception e)
        {
            EndWith(e);
        }
    }

    private void EndOfInput() => _ended.TrySetResult(new(ConnectionEndReason.PeerClosed, "end of input"));

    private void EndWith(Exception exception)
    {
        switch (exception)
        {
            case OperationCanceledException:
                _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
                break;
            case IOException or ObjectDisposedException:
                _ended.TrySetResult(new(ConnectionEndReason.TransportFailed, $"reading standard input failed: {exception.Message}"));
                break;
            default:
                _ended.TrySetException(exception);
                break;
        }
    }

    /// <summary>A client that closed its side may still read the answers; one that was killed does not, and nobody has to wait for them.</summary>
    private void WatchOutput(CancellationToken cancellationToken)
    {
        while (_isThisProcess && !OperatingSystem.IsWindows() && !cancellationToken.IsCancellationRequested)
        {
            if (HangUp.IsSeenOn(1, s_hangUpInterval))
            {
                _gone.TrySetResult();
                return;
            }
        }
    }

    /// <summary>
    /// Waits until a message was taken. While a receiver takes none, the end of input cannot be read, so it is looked for
    /// from time to time: a client that is gone must not leave a proxy behind that waits for a server for ever.
    /// </summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "VSTHRD002", Justification = "This thread exists to block; nothing else runs on it.")]
    private void Deliver(ValueTask work)
    {
        if (work.IsCompletedSuccessfully)
        {
            work.GetAwaiter().GetResult();
            return;
        }

        var task = work.AsTask();
        while (!task.Wait(s_hangUpInterval))
        {
            LookForClient();
        }

        task.GetAwaiter().GetResult();
    }

    /// <summary>The same on an event loop, which nobody may block.</summary>
    private ValueTask DeliverAsync(ValueTask work)
    {
        return work.IsCompletedSuccessfully ? work : WatchAsync(work.AsTask());

        async ValueTask WatchAsync(Task task)
        {
            while (await Task.WhenAny(task, Task.Delay(s_hangUpInterval)) != task)
            {
                LookForClient();
            }

            await task;
        }
    }

    private void LookForClient()
    {
        if (_isThisProcess && HangUp.IsSeenOn(0))
        {
            _ended.TrySetResult(new(ConnectionEndReason.PeerClosed, "the client is gone"));
        }
    }
}
