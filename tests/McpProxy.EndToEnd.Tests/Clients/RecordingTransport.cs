using System.Text.Json.Nodes;
using System.Threading.Channels;
using ModelContextProtocol.Client;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Clients;

/// <summary>
/// Passes messages between the SDK's client and one of its transports, and keeps what came in, in order: the client itself
/// handles every message on a thread of its own, so that its handlers cannot tell in which order things arrived.
/// </summary>
public sealed class RecordingTransport(IClientTransport inner) : IClientTransport
{
    /// <summary>Stands in <c>_meta</c> for the log level, which the SDK's client (2.3.1) removes from there and has no other way to ask for.</summary>
    public const string LogLevelPlaceholder = "test/logLevel";

    private readonly Lock _gate = new();
    private readonly List<JsonRpcMessage> _received = [];

    public string Name => inner.Name;

    /// <summary>Everything received so far, in the order of arrival.</summary>
    public IReadOnlyList<JsonRpcMessage> Received
    {
        get
        {
            lock (_gate)
            {
                return [.. _received];
            }
        }
    }

    public async Task<ITransport> ConnectAsync(CancellationToken cancellationToken = default) =>
        new Session(this, await inner.ConnectAsync(cancellationToken));

    private void Record(JsonRpcMessage message)
    {
        lock (_gate)
        {
            _received.Add(message);
        }
    }

    private sealed class Session(RecordingTransport recorder, ITransport inner) : ITransport
    {
        public string? SessionId => inner.SessionId;

        public ChannelReader<JsonRpcMessage> MessageReader { get; } = new Reader(recorder, inner.MessageReader);

        public Task SendMessageAsync(JsonRpcMessage message, CancellationToken cancellationToken = default)
        {
            if (message is JsonRpcRequest { Params: JsonObject parameters } && parameters["_meta"] is JsonObject meta && meta.Remove(LogLevelPlaceholder, out var level))
            {
                meta[MetaKeys.LogLevel] = level;
            }

            return inner.SendMessageAsync(message, cancellationToken);
        }

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }

    private sealed class Reader(RecordingTransport recorder, ChannelReader<JsonRpcMessage> inner) : ChannelReader<JsonRpcMessage>
    {
        public override Task Completion => inner.Completion;

        public override bool TryRead(out JsonRpcMessage item)
        {
            if (!inner.TryRead(out item!))
            {
                return false;
            }

            recorder.Record(item);
            return true;
        }

        public override ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default) => inner.WaitToReadAsync(cancellationToken);
    }
}
