using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.Matrix;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.Eras;

/// <summary>What the options about eras do to clients that could do otherwise.</summary>
public sealed class EraOptionTests(ITestOutputHelper output) : EndToEndTest(output)
{
    [Theory]
    [InlineData(Transport.Stdio, Transport.Stdio)]
    [InlineData(Transport.StreamableHttp, Transport.StreamableHttp)]
    public async Task Client_of_both_eras_gets_the_modern_one_of_a_legacy_server(Transport downstream, Transport upstream)
    {
        var client = await ConnectAsync(downstream, upstream, Era.Legacy, protocolVersion: null);

        client.Sdk.NegotiatedProtocolVersion.ShouldBe("2026-07-28");
        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Theory]
    [InlineData(Transport.Stdio, Transport.Stdio, "--downstream-protocol", "legacy")]
    [InlineData(Transport.StreamableHttp, Transport.Stdio, "--no-modern")]
    public async Task Client_of_both_eras_takes_the_legacy_one_where_nothing_else_is_offered(Transport downstream, Transport upstream, params string[] options)
    {
        var client = await ConnectAsync(downstream, upstream, Era.Modern, protocolVersion: null, options);

        client.Sdk.NegotiatedProtocolVersion.ShouldBe("2025-11-25");
        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Theory]
    [InlineData(Transport.Stdio, Transport.Stdio, Era.Legacy, "2026-07-28")]
    [InlineData(Transport.Stdio, Transport.StreamableHttp, Era.Modern, "2025-11-25")]
    public async Task Server_may_be_said_to_speak_one_era(Transport downstream, Transport upstream, Era server, string clientVersion)
    {
        // A server of both eras, spoken to in the one that is given and no other.
        var client = await ConnectAsync(downstream, upstream, Era.Dual, clientVersion, "--upstream-protocol", server == Era.Legacy ? "legacy" : "modern");

        (await client.TextAsync("elicit")).ShouldBe(TestClient.UserName);
    }

    [Fact]
    public async Task Without_the_bridge_peers_of_different_eras_do_not_meet()
    {
        var error = await Should.ThrowAsync<InvalidOperationException>(() => ConnectAsync(Transport.Stdio, Transport.Stdio, Era.Modern, "2025-11-25", "--bridge", "off"));

        error.Message.ShouldContain("not connected");
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
