using System.Net;
using System.Net.Sockets;
using System.Text;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Clients;

/// <summary>Decides when a call of the tool <c>ask_port</c> ends: the server asks here, and gets its answer when the test likes.</summary>
internal sealed class Gate : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private TcpClient? _server;

    public Gate() => _listener.Start();

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Waits until the call is under way in the server.</summary>
    public async Task CallArrivedAsync() =>
        _server = await _listener.AcceptTcpClientAsync(TestContext.Current.CancellationToken).Within("the call in the server");

    /// <summary>Lets the call end with this text.</summary>
    public async Task AnswerAsync(string text)
    {
        await _server!.GetStream().WriteAsync(Encoding.UTF8.GetBytes(text));
        _server.Close();
    }

    public ValueTask DisposeAsync()
    {
        _server?.Dispose();
        _listener.Dispose();
        return ValueTask.CompletedTask;
    }
}
