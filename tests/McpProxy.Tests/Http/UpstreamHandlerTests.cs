using System.Net;
using System.Net.Sockets;
using McpProxy.Transports.Http;
using McpProxy.Transports.Http.Plain;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Http;

/// <summary>Which requests go the short way.</summary>
public sealed class UpstreamHandlerTests
{
    [Fact]
    public async Task The_general_handler_is_made_for_TLS_and_not_for_plain_HTTP()
    {
        var made = 0;
        await using var server = RawServer.Saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        using var http = new HttpMessageInvoker(new UpstreamHandler(new PlainHttpHandler(TimeSpan.FromSeconds(30), TimeProvider.System), Make, new SystemProxies()));
        using (var request = new HttpRequestMessage(HttpMethod.Get, server.Url))
        using (var response = await http.SendAsync(request, TestContext.Current.CancellationToken))
        {
            (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldBe("hello");
        }

        made.ShouldBe(0);
        using var unused = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        unused.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        for (var i = 0; i < 2; i++)
        {
            using var secure = new HttpRequestMessage(HttpMethod.Get, $"https://{unused.LocalEndPoint}/");
            await Should.ThrowAsync<HttpRequestException>(() => http.SendAsync(secure, TestContext.Current.CancellationToken));
        }

        made.ShouldBe(1);

        SocketsHttpHandler Make()
        {
            made++;
            return new() { UseProxy = false };
        }
    }

    [Fact]
    public void Children_do_not_inherit_how_this_process_is_tuned()
    {
        Dictionary<string, string> environment = new(StringComparer.Ordinal)
        {
            ["DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS"] = "1",
            ["DOTNET_ThreadPool_UnfairSemaphoreSpinLimit"] = "0",
            ["PATH"] = "/bin",
        };
        RuntimeTuning.RemoveFrom(environment);
        environment.Keys.ShouldBe(["PATH"]);
    }
}
