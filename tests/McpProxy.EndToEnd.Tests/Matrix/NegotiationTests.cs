using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Programs;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.Matrix;

/// <summary>Peers that agree on a revision by themselves: the proxy must not get between them.</summary>
public sealed class NegotiationTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [MemberData(nameof(Cells.AllOf), Era.Legacy, MemberType = typeof(Cells))]
    public async Task Client_of_both_eras_finds_a_legacy_server(Transport downstream, Transport upstream)
    {
        // With the bridge such a client gets what it would rather speak: see the tests of the bridge.
        var client = await ConnectAsync(downstream, upstream, Era.Legacy, protocolVersion: null, "--bridge", "off");

        client.Sdk.NegotiatedProtocolVersion.ShouldBe("2025-11-25");
        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Theory]
    [MemberData(nameof(Cells.AllOf), Era.Modern, MemberType = typeof(Cells))]
    public async Task Client_of_both_eras_finds_a_modern_server(Transport downstream, Transport upstream)
    {
        var client = await ConnectAsync(downstream, upstream, Era.Dual, protocolVersion: null);

        client.Sdk.NegotiatedProtocolVersion.ShouldBe("2026-07-28");
        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Theory]
    [InlineData("2025-06-18")]
    [InlineData("2025-03-26")]
    [InlineData("2024-11-05")]
    public async Task Older_revision_is_kept(string version)
    {
        foreach (var (downstream, upstream) in new[] { (Transport.Stdio, Transport.StreamableHttp), (Transport.StreamableHttp, Transport.Stdio), (Transport.Sse, Transport.Sse) })
        {
            var client = await ConnectAsync(downstream, upstream, Era.Dual, version);

            client.Sdk.NegotiatedProtocolVersion.ShouldBe(version, $"{downstream} to {upstream}");
            await client.CallAsync("progress", new { count = 3 }, new() { ["progressToken"] = "p" });
            client.Notifications(NotificationMethods.ProgressNotification).Count().ShouldBe(3, $"{downstream} to {upstream}");
        }
    }

    private async Task<TestClient> ConnectAsync(Transport downstream, Transport upstream, Era serverEra, string? protocolVersion, params string[] options)
    {
        IReadOnlyList<string> target = upstream == Transport.Stdio
            ? ["--", .. TestServer.Command(serverEra)]
            : [Own(await TestServer.StartAsync(serverEra)).At(upstream).AbsoluteUri];
        var cell = Own(await RunningCell.StartAsync(downstream, target, protocolVersion, options));
        Watch("standard error of the proxy", cell.ProxyErrors);
        return cell.Client;
    }
}
