using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>Access tokens that end. oidc-provider gives a new refresh token each time, and takes an old one for theft: then all are void.</summary>
public sealed class RenewalTests(Chromium chromium)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);

    [Theory, InlineData("jwt"), InlineData("opaque")]
    public async Task A_token_that_is_refused_is_replaced_and_the_call_goes_through(string format)
    {
        await using var scene = await SignInScene.OpenAsync(chromium, new { accessTokenFormat = format });
        var client = await SignedInAsync(scene);
        var tokens = new List<string> { (await client.WhoAmIAsync()).Text("jti") };

        for (var i = 0; i < 3; i++)
        {
            await scene.Server.ExpireAsync();
            tokens.Add((await client.WhoAmIAsync()).Text("jti"));
        }

        tokens.ShouldBeUnique();
        scene.Browsed.ShouldHaveSingleItem();
        var seen = await scene.Server.SeenAsync();
        var refreshes = seen.Grants("refresh_token");
        refreshes.Count.ShouldBe(3);
        refreshes.ShouldAllBe(refresh => refresh.GetProperty("status").GetInt32() == 200);
        refreshes.Select(refresh => refresh.GetProperty("params").Text("resource")).ShouldAllBe(resource => resource == scene.Server.Url);
        seen.RefreshTokens.ShouldBe(1);
    }

    [Fact]
    public async Task A_token_is_replaced_before_it_ends()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, new { accessTokenTtl = 2 });
        var client = await SignedInAsync(scene);

        var tokens = new HashSet<string>(StringComparer.Ordinal);
        using var patience = new CancellationTokenSource(s_patience);
        while (tokens.Count < 3)
        {
            patience.IsCancellationRequested.ShouldBeFalse("no new token was fetched");
            tokens.Add((await client.WhoAmIAsync()).Text("jti"));
            await Task.Delay(s_look);
        }

        scene.Browsed.ShouldHaveSingleItem();
        (await scene.Server.SeenAsync()).Grants("refresh_token").Count.ShouldBeGreaterThanOrEqualTo(2);
    }

    [Fact]
    public async Task Calls_at_once_renew_the_token_once()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = await SignedInAsync(scene);
        await client.WhoAmIAsync();
        await scene.Server.ExpireAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => client.WhoAmIAsync()));

        answers.Select(who => who.Text("jti")).Distinct().ShouldHaveSingleItem();
        (await scene.Server.SeenAsync()).Grants("refresh_token").ShouldHaveSingleItem();
    }

    [Fact]
    public async Task Proxies_at_once_renew_the_token_once()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        Client[] clients = [await SignedInAsync(scene), scene.Client(), scene.Client(), scene.ModernClient()];
        await Task.WhenAll(clients.Select(client => client.WhoAmIAsync()));
        await scene.Server.ExpireAsync();

        var answers = await Task.WhenAll(clients.Select(client => client.WhoAmIAsync()));

        answers.Select(who => who.Text("jti")).Distinct().ShouldHaveSingleItem();
        var seen = await scene.Server.SeenAsync();
        seen.Grants("refresh_token").ShouldHaveSingleItem();
        seen.RefreshTokens.ShouldBe(1);
        scene.Browsed.ShouldHaveSingleItem();
    }

    [Fact]
    public async Task A_proxy_that_comes_later_renews_what_an_earlier_one_has_stored()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        await (await SignedInAsync(scene)).WhoAmIAsync();
        await scene.Server.ExpireAsync();

        (await scene.Client().WhoAmIAsync()).Text("sub").ShouldBe("ada");

        scene.Browsed.ShouldHaveSingleItem();
        (await scene.Server.SeenAsync()).Grants("refresh_token").ShouldHaveSingleItem();
    }

    [Fact]
    public async Task When_it_cannot_be_renewed_the_user_signs_in_again()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = await SignedInAsync(scene);
        await client.WhoAmIAsync();
        await scene.Server.ForgetAsync();
        await scene.Server.ExpireAsync();

        var call = client.WhoAmIAsync();
        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync(2));
        await page.EndAsync(page.ConsentAsync);

        (await call).Text("sub").ShouldBe("ada");
        var seen = await scene.Server.SeenAsync();
        seen.Grants("refresh_token").ShouldHaveSingleItem().Text("error").ShouldBe("invalid_grant");
        seen.Registrations.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_stream_that_is_refused_opens_no_page()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = await SignedInAsync(scene);
        await client.WhoAmIAsync();
        await scene.Server.ForgetAsync();

        // Ends the streams too, so that the proxy asks for a new one.
        await scene.Server.ExpireAsync();
        using var patience = new CancellationTokenSource(s_patience);
        while (!(await scene.Server.SeenAsync()).OfKind("mcp").Any(IsRefusedStream))
        {
            patience.IsCancellationRequested.ShouldBeFalse("the stream was not asked for again");
            await Task.Delay(s_look);
        }

        await client.Process.ErrorLineAsync("cannot be renewed");
        await client.Process.TellAsync("close");
        (await client.Process.ExitAsync()).ShouldBe(0);
        scene.Browsed.ShouldHaveSingleItem();

        static bool IsRefusedStream(JsonElement seen) => seen.Text("http") == "GET" && seen.GetProperty("status").GetInt32() == 401;
    }

    private static async Task<Client> SignedInAsync(SignInScene scene)
    {
        var client = scene.Client();
        await scene.SignInAsync(await scene.BrowsedAsync());
        return client;
    }
}
