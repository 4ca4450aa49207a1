using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>
/// A connection that carries modern requests to a child once it has shown that it understands them: a legacy one would do what
/// some of them say. One that does not understand them ends the connection, and what was known of the server is forgotten.
/// </summary>
internal sealed class ProbedConnection(BridgeContext context) : IConnection
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    private readonly OpenConnection _inner = new(context.Upstream.Connect());
    private readonly TaskCompletionSource<bool> _probed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public bool HasRequestStreams => _inner.HasRequestStreams;

    public Task Gone => _inner.Gone;

    public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        try
        {
            var outcome = await new EraProbe(EraProbe.Question, receiver).AskAsync(_inner, s_patience, context.Time, cancellationToken);
            switch (outcome.Verdict)
            {
                case ProbeVerdict.Modern:
                    var running = _inner.RunAsync(receiver, cancellationToken);
                    _probed.TrySetResult(true);
                    return await running;
                case ProbeVerdict.Ended:
                    return await _inner.Ended;
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
        return !isModern || await _inner.SendAsync(message, related, cancellationToken);
    }

    public void EndOfInput() => _inner.EndOfInput();

    public ValueTask DisposeAsync() => _inner.DisposeAsync();
}
