using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>
/// A connection that carries modern requests to a child once it has shown that it understands them: a legacy one would do what
/// some of them say. One that does not understand them ends the connection, and what was known of the server is forgotten.
/// </summary>
internal sealed class ProbedConnection(BridgeContext context, ServerStarts starts) : IConnection
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private readonly Lock _gate = new();
    private readonly TaskCompletionSource<bool> _probed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private OpenConnection? _inner;
    private bool _isDisposed;

    public bool HasRequestStreams => _inner?.HasRequestStreams ?? false;

    public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        try
        {
            await starts.PauseAsync(cancellationToken);
            var inner = Open();
            var outcome = await new EraProbe(EraProbe.Question, receiver).AskAsync(inner, s_patience, context.Time, cancellationToken);
            switch (outcome.Verdict)
            {
                case ProbeVerdict.Modern:
                    var running = inner.RunAsync(new Receiver(receiver, starts), cancellationToken);
                    _probed.TrySetResult(true);
                    return await EndedAsync(running);
                case ProbeVerdict.Ended:
                    return await EndedAsync(inner.Ended);
                default:
                    context.Facts.Forget();
                    return new(ConnectionEndReason.TransportFailed, "the server was started again and does not speak the modern era of the protocol any more; try again");
            }
        }
        catch (OperationCanceledException)
        {
            return new(ConnectionEndReason.Closed, "closed");
        }
        finally
        {
            _probed.TrySetResult(false);
        }
    }

    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        var isModern = _probed.Task.IsCompletedSuccessfully ? await _probed.Task : await _probed.Task.WaitAsync(cancellationToken);

        // What the server does not get, the end of the connection answers, which says why.
        return !isModern || await _inner!.SendAsync(message, related, cancellationToken);
    }

    public void EndOfInput() => _inner?.EndOfInput();

    public ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _isDisposed = true;
            return _inner?.DisposeAsync() ?? ValueTask.CompletedTask;
        }
    }

    /// <summary>Starts the server, unless nobody wants it any more.</summary>
    private OpenConnection Open()
    {
        lock (_gate)
        {
            return _isDisposed ? throw new OperationCanceledException() : _inner = new(context.Upstream.Connect());
        }
    }

    private async Task<ConnectionEnd> EndedAsync(Task<ConnectionEnd> running)
    {
        var end = await running;
        starts.Ended(end);
        return end;
    }

    /// <summary>Notes that the server is of use to somebody.</summary>
    private sealed class Receiver(IMessageReceiver next, ServerStarts starts) : IMessageReceiver
    {
        public ValueTask ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            if (message.Kind == JsonRpcMessageKind.Response)
            {
                starts.Worked();
            }

            return next.ReceiveAsync(message, related, cancellationToken);
        }

        public ValueTask FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => next.FaultAsync(fault, cancellationToken);

        public ValueTask AbandonedAsync(string reason, CancellationToken cancellationToken) => next.AbandonedAsync(reason, cancellationToken);
    }
}
