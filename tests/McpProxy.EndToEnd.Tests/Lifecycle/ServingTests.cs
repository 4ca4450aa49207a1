using System.Net;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Lifecycle;

/// <summary>What the proxy serves over HTTP, where, and to whom.</summary>
public sealed class ServingTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Fact]
    public async Task Paths_can_be_chosen()
    {
        var proxy = Own(Proxy.Start(
            ["--port", "0", "--path", "/a", "--sse-path", "/b/c", "--messages-path", "/b/d", "--health-path", "/ok", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));
        var streamable = await proxy.ListeningAsync(Transport.StreamableHttp);
        var sse = await proxy.ListeningAsync(Transport.Sse);

        streamable.AbsolutePath.ShouldBe("/a");
        sse.AbsolutePath.ShouldBe("/b/c");
        var first = Own(await TestClient.ConnectAsync(TestClient.Http(streamable, Transport.StreamableHttp), "2025-11-25"));
        var second = Own(await TestClient.ConnectAsync(TestClient.Http(sse, Transport.Sse), "2025-11-25"));
        (await first.TextAsync("echo", new { text = "x" })).ShouldBe("x");
        (await second.TextAsync("echo", new { text = "y" })).ShouldBe("y");
        using var http = new HttpClient();
        using var health = await http.GetAsync(new Uri(streamable, "/ok"), TestContext.Current.CancellationToken).Within("the health answer");
        health.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("Host", "evil.example")]
    [InlineData("Origin", "https://evil.example")]
    public async Task Page_of_another_site_is_refused(string header, string value)
    {
        var proxy = Own(Proxy.Start(["--port", "0", "--", "cat"]));
        using var http = new HttpClient();
        foreach (var transport in new[] { Transport.StreamableHttp, Transport.Sse })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, await proxy.ListeningAsync(transport));
            request.Headers.Add(header, value);

            using var response = await http.SendAsync(request, TestContext.Current.CancellationToken).Within("the refusal");

            response.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }
    }

    [Theory]
    [InlineData(Transport.StreamableHttp)]
    [InlineData(Transport.Sse)]
    public async Task Client_finds_the_transport_by_itself(Transport transport)
    {
        var proxy = Own(Proxy.Start(["--port", "0", .. Proxy.ChildOptions, "--", .. TestServer.Command(Era.Legacy)]));

        var client = Own(await TestClient.ConnectAsync(TestClient.AnyHttp(await proxy.ListeningAsync(transport)), protocolVersion: null));

        (await client.TextAsync("echo", new { text = "found" })).ShouldBe("found");
    }
}
