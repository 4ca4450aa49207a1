using BenchmarkDotNet.Attributes;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;

namespace McpProxy.Benchmarks.Stages;

/// <summary>The relay between the two connections: a request and its answer.</summary>
public class RelayedCall : StageBenchmark
{
    private readonly StillConnection _downstream = new();
    private JsonRpcMessage _request;

    /// <inheritdoc/>
    public override void SetUp()
    {
        _request = SampleMessage.Parse(SampleMessage.Request(Size));
        var upstream = new StillConnection { Answer = SampleMessage.Parse(SampleMessage.Response(Size)) };
        _ = new RelaySession(_downstream, upstream).RunAsync(CancellationToken.None);
        if (!Call().IsCompletedSuccessfully || _downstream.Taken != JsonRpcMessageKind.Response)
        {
            throw new InvalidOperationException("the answer did not come back");
        }
    }

    [Benchmark]
    public Task Call() => _downstream.Receiver!.ReceiveAsync(_request, default, CancellationToken.None).AsTask();

    /// <summary>A connection that costs nothing: it takes what it is sent, and answers requests at once.</summary>
    private sealed class StillConnection : IConnection
    {
        public IMessageReceiver? Receiver { get; private set; }

        public JsonRpcMessage? Answer { get; init; }

        public JsonRpcMessageKind? Taken { get; private set; }

        public bool HasRequestStreams => false;

        public Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
        {
            Receiver = receiver;
            return new TaskCompletionSource<ConnectionEnd>().Task;
        }

        public async ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken)
        {
            Taken = message.IsError ? null : message.Kind;
            if (Answer is { } answer)
            {
                await Receiver!.ReceiveAsync(answer, default, cancellationToken);
            }

            return true;
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
