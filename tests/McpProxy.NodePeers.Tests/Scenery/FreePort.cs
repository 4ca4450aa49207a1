using System.Net;
using System.Net.Sockets;
using Xunit.Sdk;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>Ports for programs that cannot choose one themselves and say which.</summary>
internal static class FreePort
{
    private const int MaxAttempts = 3;

    /// <summary>Starts something on a free port, and on another one when somebody was faster.</summary>
    public static async Task<T> UseAsync<T>(Func<int, Task<T>> start)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await start(Find());
            }
            catch (XunitException) when (attempt < MaxAttempts)
            {
                // What it wrote is shown with the test, should it fail for this.
            }
        }
    }

    private static int Find()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
