using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Xunit;

namespace McpProxy.Tests.Network;

/// <summary>A server that shows a certificate, and a client that looks at it.</summary>
internal static class TlsHandshake
{
    /// <summary>Why the client does not trust the server; null when it does.</summary>
    public static async Task<string?> RefusalAsync(SslClientAuthenticationOptions options, X509Certificate2 certificate, X509Certificate2? intermediate = null, string target = "localhost")
    {
        options.TargetHost = target;
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        var accepting = listener.AcceptTcpClientAsync(TestContext.Current.CancellationToken).AsTask();
        await client.ConnectAsync((IPEndPoint)listener.LocalEndpoint, TestContext.Current.CancellationToken);
        using var server = await accepting;
        await using var serverTls = new SslStream(server.GetStream());
        var context = SslStreamCertificateContext.Create(certificate, intermediate is null ? null : [intermediate], offline: true);
        var serving = serverTls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificateContext = context }, TestContext.Current.CancellationToken);
        await using var clientTls = new SslStream(client.GetStream());
        try
        {
            await clientTls.AuthenticateAsClientAsync(options, TestContext.Current.CancellationToken);
            await serving;
            return null;
        }
        catch (AuthenticationException e)
        {
            client.Close();
            await ((Task)serving).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return e.Message;
        }
    }
}
