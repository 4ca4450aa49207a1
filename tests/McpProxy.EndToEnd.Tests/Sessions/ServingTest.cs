using System.Globalization;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Sessions;

/// <summary>A test of a proxy that serves the test server over HTTP.</summary>
public abstract class ServingTest(ITestOutputHelper output) : EndToEndTest(output)
{
    /// <summary>Starts a proxy that serves the test server with these options.</summary>
    private protected Proxy Serve(params string[] options) => Serve(Era.Legacy, options);

    private protected Proxy Serve(Era era, params string[] options) => Own(Proxy.Start(["--port", "0", .. options, .. Proxy.ChildOptions, "--", .. TestServer.Command(era)]));

    private protected async Task<TestClient> ConnectAsync(Proxy proxy, Transport transport = Transport.StreamableHttp, string version = "2025-11-25") =>
        Own(await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(transport), transport), version));

    private protected static async Task<int> ServerOfAsync(TestClient client) => int.Parse(await client.TextAsync("process_id"), CultureInfo.InvariantCulture);
}
