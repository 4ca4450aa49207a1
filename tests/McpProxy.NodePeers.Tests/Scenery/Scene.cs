using System.Diagnostics;
using System.Text.Json;
using Xunit;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>The processes of a test. It leaves none behind, and shows what they wrote next to a failure.</summary>
internal sealed class Scene : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Peer> _peers = [];
    private readonly List<Process> _adopted = [];

    public Scene() => NodePackages.Need();

    /// <summary>A client of the TypeScript SDK 1.x.</summary>
    public Peer LegacyClient(string scenario, string route, object? options = null) =>
        Start($"client ({scenario})", NodePackages.Node, NodePackages.Script("client-v1.mjs"), scenario, route, JsonSerializer.Serialize(options ?? new { }));

    /// <summary>A client of the TypeScript SDK 2.x.</summary>
    public Peer ModernClient(string scenario, string route) =>
        Start($"client ({scenario})", NodePackages.Node, NodePackages.Script("client-v2.mjs"), scenario, route);

    /// <summary>A server of the TypeScript SDK 2.x, over Streamable HTTP.</summary>
    /// <returns>Its URL.</returns>
    public async Task<string> ModernServerAsync()
    {
        var server = Start("server", NodePackages.Node, NodePackages.Script("server-v2.mjs"), "http");
        return (await server.EventAsync("listening")).GetProperty("url").GetString()!;
    }

    /// <summary>A proxy that serves HTTP on a port of its choice.</summary>
    public Task<ServingProxy> ServeAsync(params IEnumerable<string> arguments) =>
        ServingProxy.ListeningAsync(Start("serving proxy", ProxyProgram.Path, ["--port", "0", .. arguments]), hasSessions: !arguments.Contains("--stateless"));

    public Peer Start(string name, string program, params IEnumerable<string> arguments) =>
        Start(name, program, arguments, new Dictionary<string, string>(StringComparer.Ordinal));

    public Peer Start(string name, string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment)
    {
        var peer = Peer.Start(name, program, arguments, environment);
        lock (_gate)
        {
            _peers.Add(peer);
        }

        return peer;
    }

    /// <summary>Takes care of a process that will lose the one that started it.</summary>
    public void Adopt(int processId)
    {
        lock (_gate)
        {
            _adopted.Add(Process.GetProcessById(processId));
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in _adopted)
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }

            process.Dispose();
        }

        // The last first: a client that loses its server has much to say that explains nothing.
        foreach (var peer in Enumerable.Reverse(_peers))
        {
            await peer.DisposeAsync();
        }

        Show(_ => true);
    }

    /// <summary>Adds what one client and the servers of all wrote to the output of the running test.</summary>
    public void Show(Peer client) => Show(peer => peer == client || !peer.Name.StartsWith("client", StringComparison.Ordinal));

    private void Show(Func<Peer, bool> isOfInterest)
    {
        lock (_gate)
        {
            foreach (var peer in _peers.Where(isOfInterest))
            {
                TestContext.Current.TestOutputHelper?.WriteLine(peer.ToString());
            }
        }
    }
}
