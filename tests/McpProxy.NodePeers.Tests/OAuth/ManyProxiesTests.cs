using System.Net.Sockets;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>Several clients start their proxies at once, and there is one user.</summary>
public sealed class ManyProxiesTests(Chromium chromium)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    [Fact]
    public async Task They_all_use_one_sign_in()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        Client[] clients = [scene.Client(), scene.Client(), scene.ModernClient()];
        var calls = clients.Select(client => client.WhoAmIAsync()).ToArray();

        await scene.SignInAsync(await scene.BrowsedAsync());

        (await Task.WhenAll(calls)).Select(who => who.Text("jti")).Distinct().ShouldHaveSingleItem();
        scene.Browsed.ShouldHaveSingleItem();
        var seen = await scene.Server.SeenAsync();
        seen.Registrations.Count.ShouldBe(1);
        seen.Grants("authorization_code").Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_page_that_is_open_stays_good_when_the_proxy_that_opened_it_dies()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var first = scene.Client();
        var leader = await first.ProxyAsync();
        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync());
        var second = scene.Client();
        var call = second.WhoAmIAsync();
        await second.ProxyAsync();

        ProcessList.Kill(leader);
        await ProcessList.GoneAsync(leader, "the proxy that opened the page");
        await ListenedAsync((await scene.Server.SeenAsync()).Registrations[0].Texts("redirect_uris").Single());
        await page.LogInAsync("ada");
        var end = await page.EndAsync(page.ConsentAsync);

        end.Text.ShouldContain("signed in", Case.Insensitive);
        (await call).Text("sub").ShouldBe("ada");
        scene.Browsed.ShouldHaveSingleItem();
    }

    private static async Task ListenedAsync(string redirect)
    {
        using var patience = new CancellationTokenSource(s_patience);
        while (true)
        {
            try
            {
                using var connection = new TcpClient();
                await connection.ConnectAsync("127.0.0.1", new Uri(redirect).Port, patience.Token);
                return;
            }
            catch (SocketException)
            {
                patience.IsCancellationRequested.ShouldBeFalse("nobody took the page over");
                await Task.Delay(s_look);
            }
        }
    }
}
