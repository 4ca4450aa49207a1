using McpProxy.JsonRpc;

namespace McpProxy.Transports.Stdio;

/// <summary>The peer that started this program: messages on its standard input and output (MCP "stdio").</summary>
public sealed class StdioConnection : IConnection
{
    private static readonly TimeSpan s_hangUpInterval = TimeSpan.FromMilliseconds(500);

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
    {
        _input = input;
        _writer = new(output, isBlocking: true);
        _maxMessageSize = maxMessageSize;
    }

    /// <summary>The connection of this process's own standard streams.</summary>
    /// <param name="maxMessageSize">The longest line that is accepted, in bytes.</param>
    public static StdioConnection OfThisProcess(int maxMessageSize = TransportDefaults.MaxMessageSize) =>
        new(Console.OpenStandardInput(), Console.OpenStandardOutput(), maxMessageSize) { _isThisProcess = true };

    /// <inheritdoc/>
    public bool HasRequestStreams => false;

    /// <inheritdoc/>
    public Task Gone => _gone.Task;

    /// <inheritdoc/>
    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));

        // A thread of its own: standard input has no asynchronous reads, and a blocked pool thread would starve the rest.
        new Thread(() => Read(receiver, cancellationToken), 512 * 1024) { IsBackground = true, Name = "stdin" }.Start();
        return _ended.Task;
    }

    /// <inheritdoc/>
    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (await _writer.WriteAsync(message.Utf8, cancellationToken))
        {
            return true;
        }

        _ended.TrySetResult(new(ConnectionEndReason.TransportFailed, "the client no longer reads standard output"));
        return false;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        return ValueTask.CompletedTask;
    }

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
                    _ended.TrySetResult(new(ConnectionEndReason.PeerClosed, "end of input"));
                    WatchOutput(cancellationToken);
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            _ended.TrySetResult(new(ConnectionEndReason.TransportFailed, $"reading standard input failed: {e.Message}"));
        }
        catch (Exception e)
        {
            _ended.TrySetException(e);
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
            if (_isThisProcess && HangUp.IsSeenOn(0))
            {
                _ended.TrySetResult(new(ConnectionEndReason.PeerClosed, "the client is gone"));
            }
        }

        task.GetAwaiter().GetResult();
    }
}
