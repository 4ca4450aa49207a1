using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using McpProxy.Transports.StreamableHttp;

namespace McpProxy.AspNetCore.Stateless;

/// <summary>
/// The server half of one request of the modern era (MCP 2026-07-28): a POST, its answer, and what the server sends along.
/// Closing the response is the client's way to cancel.
/// </summary>
internal sealed class StatelessExchange(JsonRpcMessage request, EventStream response, ToolHeaderCatalog tools) : IConnection
{
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _answered;

    public bool HasRequestStreams => true;

    public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        await using var closing = cancellationToken.Register(() => _closed.TrySetResult());
        await receiver.ReceiveAsync(request, default, cancellationToken);
        await Task.WhenAny(response.Completed, _closed.Task);
        return new(_answered ? ConnectionEndReason.PeerClosed : ConnectionEndReason.TransportFailed, _answered ? "answered" : "the client closed the response stream");
    }

    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        switch (message.Kind)
        {
            case JsonRpcMessageKind.Response when message.Id == request.Id:
                _answered = true;
                if (request.Is("tools/list"u8))
                {
                    tools.Learn(message);
                }

                if (!await response.TryAnswerJsonAsync(message.Utf8, StatusOf(message)))
                {
                    await response.SendAsync(message.Utf8);
                    response.Complete();
                }

                return true;
            case JsonRpcMessageKind.Notification when message.CancelledRequest() == request.Id:
                // The server tears its subscription down; over HTTP that is the end of the stream.
                _answered = true;
                await response.CompleteEmptyAsync();
                return true;
            case JsonRpcMessageKind.Notification:
                return response.CanCarryEvents && await response.SendAsync(message.Utf8);
            default:
                return false;
        }
    }

    public ValueTask DisposeAsync()
    {
        _closed.TrySetResult();
        return ValueTask.CompletedTask;
    }

    /// <summary>The HTTP status that a server owes with some errors, as long as it can still choose one.</summary>
    private static int StatusOf(in JsonRpcMessage answer) => answer.ErrorCode() switch
    {
        JsonRpcErrorCode.MethodNotFound => 404,
        JsonRpcErrorCode.HeaderMismatch or JsonRpcErrorCode.MissingClientCapability or JsonRpcErrorCode.UnsupportedProtocolVersion => 400,
        _ => 200,
    };
}
