using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>A client and a server with the proxy between them.</summary>
public sealed class RunningCell : IAsyncDisposable
{
    private readonly Proxy? _proxy;

    private RunningCell(TestClient client, Proxy? proxy, OutputLog proxyErrors)
    {
        Client = client;
        _proxy = proxy;
        ProxyErrors = proxyErrors;
    }

    public TestClient Client { get; }

    /// <summary>What the proxy has written to its standard error.</summary>
    public OutputLog ProxyErrors { get; }

    /// <param name="downstream">How the client reaches the proxy.</param>
    /// <param name="target">What the proxy is told to connect to: a URL, or <c>--</c> and a command.</param>
    /// <param name="protocolVersion">The client's only revision; null to let the SDK find one.</param>
    /// <param name="options">Further options of the proxy.</param>
    public static async Task<RunningCell> StartAsync(Transport downstream, IReadOnlyList<string> target, string? protocolVersion, params string[] options)
    {
        string[] words = target[0] == "--" ? ["--debug", .. options, .. Proxy.ChildOptions, .. target] : ["--debug", .. options, .. target];
        Proxy? proxy = null;
        var errors = new OutputLog();
        try
        {
            if (downstream == Transport.Stdio)
            {
                return new(await TestClient.ConnectAsync(TestClient.Stdio(words, errors), protocolVersion), null, errors);
            }

            proxy = Proxy.Start(["--port", "0", .. words]);
            errors = proxy.Errors;
            var client = await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(downstream), downstream), protocolVersion);
            return new(client, proxy, errors);
        }
        catch (Exception e)
        {
            if (proxy is not null)
            {
                await proxy.DisposeAsync();
            }

            throw new InvalidOperationException($"not connected: {e.Message}\nstandard error of the proxy:\n{errors}", e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await Client.DisposeAsync().AsTask().Within("the end of the client");
            if (_proxy is not null)
            {
                _proxy.Terminate();
                await _proxy.ExitAsync();
            }
        }
        finally
        {
            if (_proxy is not null)
            {
                await _proxy.DisposeAsync();
            }
        }
    }
}
