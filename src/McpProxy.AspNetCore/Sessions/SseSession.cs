using System.Text;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Sessions;

/// <summary>The server half of HTTP+SSE (MCP 2024-11-05): one event stream out, POSTs in. The session lives as long as its stream.</summary>
internal sealed class SseSession : IConnection
{
    private readonly EventStream _stream;
    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _introduced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IMessageReceiver? _receiver;
    private CancellationToken _cancellation;

    public SseSession(HttpContext context, string? principal, TimeProvider time, bool continuesInline)
    {
        _stream = new(context, time, continuesInline);
        Principal = principal;
    }

    /// <summary>The session's id: 122 random bits of the operating system's generator.</summary>
    public string Id { get; } = Guid.NewGuid().ToString("N");

    /// <summary>Who opened it; nobody else may post to it.</summary>
    public string? Principal { get; }

    public EventStream Stream => _stream;

    /// <summary>The relay that this session is one side of, once it runs.</summary>
    public RelaySession? Relay { get; set; }

    public bool HasRequestStreams => false;

    public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        _cancellation = cancellationToken;
        await using var closing = cancellationToken.Register(() => _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed")));
        await Task.WhenAny(_stream.Completed, _ended.Task);
        return _ended.Task.IsCompleted ? await _ended.Task : new(ConnectionEndReason.TransportFailed, "the client closed its event stream");
    }

    /// <summary>Tells the client where to post to, which has to be the first that it hears.</summary>
    public async Task IntroduceAsync(string endpoint)
    {
        await _stream.SendAsync(Encoding.UTF8.GetBytes(endpoint), id: null, type: "endpoint");
        _introduced.TrySetResult();
    }

    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        await _introduced.Task.WaitAsync(cancellationToken);
        return await _stream.SendAsync(message.Utf8, id: null, type: "message");
    }

    /// <summary>Takes a message that was posted to the session.</summary>
    /// <returns>False when the session ends meanwhile.</returns>
    public async Task<bool> TryDeliverAsync(IReadOnlyList<JsonRpcMessage> messages)
    {
        try
        {
            foreach (var message in messages)
            {
                await _receiver!.ReceiveAsync(message, default, _cancellation);
            }

            return true;
        }
        catch (OperationCanceledException) when (_cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    public ValueTask DisposeAsync()
    {
        _introduced.TrySetResult();
        _ended.TrySetResult(new(ConnectionEndReason.Closed, "closed"));
        return _stream.DisposeAsync();
    }
}
