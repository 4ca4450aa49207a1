using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>What is left of a sign-in that the user ends.</summary>
public sealed class LogoutTests(Chromium chromium)
{
    [Fact]
    public async Task Tokens_are_forgotten_here_and_revoked_there()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, new { accessTokenFormat = "opaque" });
        var client = await SignInAsync(scene);
        (await scene.Server.SeenAsync()).RefreshTokens.ShouldBe(1);
        Stored(scene).ShouldContain("access_token");

        (await scene.Run("logout").ExitAsync()).ShouldBe(0);

        var seen = await scene.Server.SeenAsync();
        seen.RefreshTokens.ShouldBe(0);
        seen.Revocations.ShouldNotBeEmpty();
        seen.Revocations.ShouldAllBe(revocation => revocation.GetProperty("status").GetInt32() == 200);
        Stored(scene).ShouldNotContain("access_token\"");

        // Who still runs finds out by being refused.
        var call = client.WhoAmIAsync();
        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync(2));
        await page.EndAsync(page.ConsentAsync);
        (await call).Text("sub").ShouldBe("ada");
    }

    [Fact]
    public async Task Who_has_nothing_stored_logs_out_as_well()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);

        (await scene.Run("logout").ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task What_is_stored_is_shown_without_its_secrets()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        await SignInAsync(scene);

        var status = scene.RunAlone("status");

        (await status.ExitAsync()).ShouldBe(0);
        status.ToString().ShouldContain(new Uri(scene.Server.Url).Authority);
        status.ToString().ShouldNotContain("eyJ");
    }

    [Fact]
    public async Task A_reset_forgets_everything()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        await SignInAsync(scene);

        (await scene.RunAlone("reset").ExitAsync()).ShouldBe(0);

        Stored(scene).ShouldNotContain("token");
        scene.Client();
        await scene.BrowsedAsync(2);
    }

    private static async Task<Client> SignInAsync(SignInScene scene)
    {
        var client = scene.Client();
        var call = client.WhoAmIAsync();
        await scene.SignInAsync(await scene.BrowsedAsync());
        await call;
        return client;
    }

    private static string Stored(SignInScene scene) => string.Join(
        '\n', Directory.EnumerateFiles(scene.StoreDirectory, "*.json", SearchOption.AllDirectories).Select(File.ReadAllText));
}
