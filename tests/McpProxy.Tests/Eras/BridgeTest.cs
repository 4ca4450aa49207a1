using System.Text.Json.Nodes;
using McpProxy.Eras;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using Xunit;

namespace McpProxy.Tests.Eras;

/// <summary>A bridge between clients and servers that the test plays.</summary>
public abstract class BridgeTest : IAsyncLifetime
{
    private readonly List<BridgeClient> _clients = [];

    private protected BridgeTest() => Upstream = new(() => new FakePeer { Answer = OnMessage, HasRequestStreams = HasRequestStreams });

    private protected FakeUpstream Upstream { get; }

    private protected ManualTime Time { get; } = new();

    private protected bool HasRequestStreams { get; set; }

    /// <summary>What every server says to a message by itself; null for nothing.</summary>
    private protected Func<JsonRpcMessage, string?> OnMessage { get; set; } = _ => null;

    private protected EraBridge Bridge { get; private set; } = null!;

    public ValueTask InitializeAsync()
    {
        Bridge = new(Upstream, Options(), Time);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.DisposeAsync();
        }

        await Bridge.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    private protected virtual EraBridgeOptions Options() => new();

    private protected BridgeClient Connect() => Add(Bridge.Connect());

    private protected BridgeClient Connect(string? principal) => Add(Bridge.Connect(principal));

    /// <summary>The next message to a server that is none of the opening of a session.</summary>
    private protected static async Task<JsonObject> NextAsync(FakePeer server)
    {
        while (true)
        {
            var message = JsonNode.Parse(await server.NextJsonAsync())!.AsObject();
            if (message["method"]?.GetValue<string>() is not ("initialize" or "notifications/initialized" or "server/discover"))
            {
                return message;
            }
        }
    }

    private BridgeClient Add(IConnection connection)
    {
        var client = new BridgeClient(connection);
        _clients.Add(client);
        return client;
    }
}
