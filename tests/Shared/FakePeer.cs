using System.Text;
using System.Threading.Channels;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Tests;

/// <summary>A peer that the test plays: it says what it is told to, and keeps what it is sent.</summary>
internal sealed class FakePeer : IConnection
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly TaskCompletionSource<ConnectionEnd> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<IMessageReceiver> _receiver = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<(string Json, JsonRpcId Related)> _sent = Channel.CreateUnbounded<(string, JsonRpcId)>();

    private readonly Channel<bool> _unread = Channel.CreateUnbounded<bool>();

    public bool HasRequestStreams { get; init; }

    /// <summary>Completes when it is known to be gone; never, unless the test says so.</summary>
    public Task Gone { get; set; } = new TaskCompletionSource().Task;

    public bool IsDisposed { get; private set; }

    /// <summary>Whether sending to it fails, as to a peer that is gone.</summary>
    public bool IsGone { get; set; }

    /// <summary>What sending to it waits for, as to a peer that reads slowly.</summary>
    public Task Readable { get; set; } = Task.CompletedTask;

    /// <summary>What it takes until all that it was sent is there.</summary>
    public Task Flushed { get; set; } = Task.CompletedTask;

    /// <summary>Answers what it is sent, when the test has a rule for that.</summary>
    public Func<JsonRpcMessage, string?>? Answer { get; set; }

    public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        _receiver.TrySetResult(receiver);
        cancellationToken.Register(() => End(ConnectionEndReason.Closed, "closed"));
        return _ended.Task;
    }

    public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
    {
        if (IsGone)
        {
            return false;
        }

        if (!Readable.IsCompleted)
        {
            _unread.Writer.TryWrite(true);
        }

        await Readable.WaitAsync(cancellationToken);
        _sent.Writer.TryWrite((Encoding.UTF8.GetString(message.Utf8.Span), related.Detach()));
        if (Answer?.Invoke(message) is { } answer)
        {
            await SayAsync(answer, message.Id.Detach());
        }

        return true;
    }

    public ValueTask FlushAsync(CancellationToken cancellationToken) => new(Flushed.WaitAsync(cancellationToken));

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        End(ConnectionEndReason.Closed, "closed");
        return ValueTask.CompletedTask;
    }

    public void End(ConnectionEndReason reason, string detail, int? exitCode = null) => _ended.TrySetResult(new(reason, detail, exitCode));

    public async Task SayAsync(string json, JsonRpcId related = default)
    {
        var receiver = await _receiver.Task.WaitAsync(s_timeout);
        if (JsonRpcMessage.TryParse(Encoding.UTF8.GetBytes(json), out var message, out var fault))
        {
            await receiver.ReceiveAsync(message, related, CancellationToken.None);
        }
        else
        {
            await receiver.FaultAsync(fault, CancellationToken.None);
        }
    }

    public async Task FaultAsync(JsonRpcFault fault) => await (await _receiver.Task.WaitAsync(s_timeout)).FaultAsync(fault, CancellationToken.None);

    /// <summary>The next message that it was sent.</summary>
    public async Task<(string Json, JsonRpcId Related)> NextAsync()
    {
        using var timeout = new CancellationTokenSource(s_timeout);
        return await _sent.Reader.ReadAsync(timeout.Token);
    }

    public async Task<string> NextJsonAsync() => (await NextAsync()).Json;

    /// <summary>Waits until somebody waits for it to read.</summary>
    public async Task BeingSentAsync()
    {
        using var timeout = new CancellationTokenSource(s_timeout);
        await _unread.Reader.ReadAsync(timeout.Token);
    }

    /// <summary>Whether there is nothing that it was sent and the test has not read.</summary>
    public bool HasNothingMore => !_sent.Reader.TryPeek(out _);
}
