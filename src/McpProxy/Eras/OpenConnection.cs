using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Eras;

/// <summary>
/// A connection that was opened before it was known who would use it: what it receives goes to whoever has it now. Once it
/// has found its last owner it costs that owner one call for each message, and nothing else.
/// </summary>
internal sealed class OpenConnection : IConnection, IMessageReceiver
{
    private readonly IConnection _inner;
    private readonly CancellationTokenSource _stop = new();
    private volatile IMessageReceiver? _receiver;
    private volatile TaskCompletionSource<IMessageReceiver> _next = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task<ConnectionEnd>? _running;
    private int _disposed;

    public OpenConnection(IConnection inner) => _inner = inner;

    public bool HasRequestStreams => _inner.HasRequestStreams;

    public Task Gone => _inner.Gone;

    /// <summary>Completes when the peer will send nothing more. There is none before the connection was given to somebody.</summary>
    public Task<ConnectionEnd> Ended => _running!;

    /// <summary>Gives the connection to somebody.</summary>
    public void GiveTo(IMessageReceiver receiver)
    {
        _receiver = receiver;
        _next.TrySetResult(receiver);
        _running ??= _inner.RunAsync(this, _stop.Token);
    }

    /// <summary>Takes the connection from whoever has it. What comes meanwhile waits for the next one.</summary>
    public void Withhold()
    {
        _next = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _receiver = null;
    }

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        GiveTo(receiver);
        cancellationToken.Register(Stop);
        return _running!;
    }

    public void EndOfInput() => _inner.EndOfInput();

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        _inner.SendAsync(message, related, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await _stop.CancelAsync();
            await _inner.DisposeAsync();
            _stop.Dispose();
        }
    }

    ValueTask IMessageReceiver.ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        _receiver is { } receiver ? receiver.ReceiveAsync(message, related, cancellationToken) : ReceiveLaterAsync(message, related, cancellationToken);

    async ValueTask IMessageReceiver.FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) =>
        await (_receiver ?? await _next.Task.WaitAsync(cancellationToken)).FaultAsync(fault, cancellationToken);

    async ValueTask IMessageReceiver.AbandonedAsync(string reason, CancellationToken cancellationToken) =>
        await (_receiver ?? await _next.Task.WaitAsync(cancellationToken)).AbandonedAsync(reason, cancellationToken);

    private async ValueTask ReceiveLaterAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        await (await _next.Task.WaitAsync(cancellationToken)).ReceiveAsync(message, related, cancellationToken);

    private void Stop()
    {
        try
        {
            _stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It was closed meanwhile.
        }
    }
}
