using McpProxy.AspNetCore.Responses;
using McpProxy.AspNetCore.Sessions;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.AspNetCore.Stateless;

/// <summary>The server half of one POST of a legacy client that has no session: its requests, their answers, and what the server says about them.</summary>
internal sealed class SessionlessExchange : IConnection
{
    private readonly List<JsonRpcMessage> _requests;
    private readonly EventStream _response;
    private readonly RequestStream _stream;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public SessionlessExchange(List<JsonRpcMessage> requests, EventStream response)
    {
        _requests = requests;
        _response = response;

        // Nobody can come back to it, so nothing is kept for that.
        _stream = new(0, [.. requests.Select(request => request.Id.Detach())], new ReplayBuffer(1, 0, new(0))) { HasEventIds = false };
    }

    public bool HasRequestStreams => true;

    public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        await using var closing = cancellationToken.Register(() => _closed.TrySetResult());
        await _stream.AttachAsync(_response);
        foreach (var request in _requests)
        {
            if (SessionlessRequests.LocalAnswer(request) is { } answer)
            {
                await _stream.SendAsync(answer);
            }
            else
            {
                await receiver.ReceiveAsync(request, default, cancellationToken);
            }
        }

        await Task.WhenAny(_response.Completed, _closed.Task);
        return _stream.IsFinished ? new(ConnectionEndReason.PeerClosed, "answered") : new(ConnectionEndReason.TransportFailed, "the client closed the response stream");
    }

    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        message.Kind != JsonRpcMessageKind.Request && await _stream.SendAsync(message);

    public ValueTask DisposeAsync()
    {
        _closed.TrySetResult();
        return ValueTask.CompletedTask;
    }
}
