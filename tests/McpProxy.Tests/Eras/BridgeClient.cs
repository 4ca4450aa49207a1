using System.Text;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Shouldly;

namespace McpProxy.Tests.Eras;

/// <summary>A client that the test plays, on one connection of a bridge.</summary>
internal sealed class BridgeClient : IMessageReceiver, IAsyncDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly IConnection _connection;
    private readonly CancellationTokenSource _stop = new();
    private readonly Channel<(string Json, JsonRpcId Related)> _received = Channel.CreateUnbounded<(string, JsonRpcId)>();
    private bool _isDisposed;

    public BridgeClient(IConnection connection)
    {
        _connection = connection;
        Ended = connection.RunAsync(this, _stop.Token);
    }

    public Task<ConnectionEnd> Ended { get; }

    /// <summary>What taking a message waits for, as of a client that reads slowly.</summary>
    public Task Readable { get; set; } = Task.CompletedTask;

    public async Task SayAsync(string json)
    {
        JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out var fault).ShouldBeTrue(fault.Message);
        (await _connection.SendAsync(message, default, CancellationToken.None)).ShouldBeTrue();
    }

    /// <summary>The next message that the client gets.</summary>
    public async Task<string> NextAsync() => (await NextWithStreamAsync()).Json;

    public async Task<JsonObject> NextObjectAsync() => JsonNode.Parse(await NextAsync())!.AsObject();

    /// <summary>The next message, and the request on whose stream it comes.</summary>
    public async Task<(string Json, JsonRpcId Related)> NextWithStreamAsync()
    {
        using var timeout = new CancellationTokenSource(s_timeout);
        return await _received.Reader.ReadAsync(timeout.Token);
    }

    public bool HasNothingMore => !_received.Reader.TryPeek(out _);

    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        await _stop.CancelAsync();
        await _connection.DisposeAsync();
        _stop.Dispose();
    }

    async ValueTask IMessageReceiver.ReceiveAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        await Readable.WaitAsync(cancellationToken);
        _received.Writer.TryWrite((Encoding.UTF8.GetString(message.Utf8.Span), related.Detach()));
    }

    ValueTask IMessageReceiver.FaultAsync(JsonRpcFault fault, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    ValueTask IMessageReceiver.AbandonedAsync(string reason, CancellationToken cancellationToken) => ValueTask.CompletedTask;
}
