using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>Sign-ins that do not end well, and what the browser shows then.</summary>
public sealed class RefusedSignInTests(Chromium chromium)
{
    [Fact]
    public async Task The_user_can_refuse_and_change_their_mind()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = scene.Client();
        await client.NotificationAsync("notifications/message");
        var call = client.FailureAsync("call whoami");

        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync());
        var end = await page.EndAsync(page.CancelAsync);

        end.Text.ShouldNotContain("signed in", Case.Insensitive);
        end.Text.ShouldContain("access_denied");
        end.ShouldBeSelfContained();
        await end.ShootAsync("denied");
        (await call).Text("message").ShouldContain("access_denied");

        // Nobody is asked again by what clients do of their own accord.
        await client.FailureAsync("list");
        await client.ResultAsync("ping");
        scene.Browsed.ShouldHaveSingleItem();

        var again = client.WhoAmIAsync();
        await scene.SignInAsync(await scene.BrowsedAsync(2));
        (await again).Text("sub").ShouldBe("ada");
    }

    [Fact]
    public async Task The_user_can_refuse_after_the_login()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login");

        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync());
        await page.LogInAsync("ada");
        var end = await page.EndAsync(page.CancelAsync);

        end.Text.ShouldContain("access_denied");
        (await login.ExitAsync()).ShouldBe(1);
        (await scene.Server.SeenAsync()).TokenRequests.ShouldBeEmpty();
    }

    [Fact]
    public async Task An_answer_to_a_question_that_nobody_asked_changes_nothing()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login");
        var url = await scene.BrowsedAsync();
        var redirect = (await RedirectUriAsync(scene, url)).AbsoluteUri;

        var page = await UserPage.OpenAsync(scene, "about:blank");
        var end = await page.VisitAsync($"{redirect}?code=stolen&state=guessed");
        end.Status.ShouldBe(400);
        end.Text.ShouldNotContain("signed in", Case.Insensitive);
        end.Html.ShouldNotContain("stolen");
        await end.ShootAsync("stray");
        var denied = await page.VisitAsync($"{redirect}?error=access_denied&error_description=%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D%27owned%27%22%3E&state=guessed");
        denied.Title.ShouldNotBe("owned");
        denied.Html.ShouldNotContain("<img");

        (await scene.SignInAsync(url)).Text.ShouldContain("signed in", Case.Insensitive);
        (await login.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task What_the_server_says_is_shown_as_text()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login");
        var url = await scene.BrowsedAsync();
        var redirect = await RedirectUriAsync(scene, url);
        var state = Query(url, "state");

        var page = await UserPage.OpenAsync(scene, "about:blank");
        var description = Uri.EscapeDataString("<img src=x onerror=\"document.title='owned'\"> grüße");
        var issuer = Uri.EscapeDataString(scene.Server.Issuer);
        var end = await page.VisitAsync($"{redirect}?error=server_error&error_description={description}&state={state}&iss={issuer}");

        end.Title.ShouldNotBe("owned");
        end.Html.ShouldNotContain("<img");
        end.ShouldBeSelfContained();
        await end.ShootAsync("server-error");
        (await login.ExitAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task An_answer_of_another_issuer_is_refused()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login");
        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync());
        await page.LogInAsync("ada");
        var address = await page.InterceptAsync(page.ConsentAsync);

        var next = await UserPage.OpenAsync(scene, "about:blank");
        var end = await next.VisitAsync(address.Replace(Uri.EscapeDataString(scene.Server.Issuer), "https%3A%2F%2Fattacker.example", StringComparison.Ordinal));

        end.Text.ShouldNotContain("signed in", Case.Insensitive);
        (await scene.Server.SeenAsync()).TokenRequests.ShouldBeEmpty();
        login.Kill();
    }

    private static async Task<Uri> RedirectUriAsync(SignInScene scene, string url)
    {
        var redirect = new Uri(Query(url, "redirect_uri"));
        (await scene.Server.SeenAsync()).Registrations[0].Texts("redirect_uris").ShouldContain(redirect.AbsoluteUri);
        return redirect;
    }

    private static string Query(string url, string name) =>
        Uri.UnescapeDataString(new Uri(url).Query.TrimStart('?').Split('&').Single(pair => pair.StartsWith($"{name}=", StringComparison.Ordinal))[(name.Length + 1)..]);
}
