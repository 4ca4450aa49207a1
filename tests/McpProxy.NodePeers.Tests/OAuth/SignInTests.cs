using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>A user signs in at oidc-provider in Chromium.</summary>
public sealed class SignInTests(Chromium chromium)
{
    private static readonly string[] s_scope = ["mcp:tools", "offline_access"];

    [Theory, InlineData("legacy"), InlineData("modern")]
    public async Task Who_has_signed_in_can_use_the_tools(string era)
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = era == "modern" ? scene.ModernClient() : scene.Client();
        var call = client.WhoAmIAsync();

        var end = await scene.SignInAsync(await scene.BrowsedAsync());

        var who = await call;
        who.Text("sub").ShouldBe("ada");
        who.Text("aud").ShouldBe(scene.Server.Url);
        end.Status.ShouldBe(200);
        end.Text.ShouldContain("signed in", Case.Insensitive);
        end.ShouldBeSelfContained();
        await end.ShootAsync($"signed-in-{era}");
        scene.Browsed.ShouldHaveSingleItem();
    }

    [Fact]
    public async Task The_sign_in_is_what_the_specification_wants()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = scene.Client();
        var call = client.WhoAmIAsync();

        await scene.SignInAsync(await scene.BrowsedAsync());
        await call;

        var seen = await scene.Server.SeenAsync();
        var registration = seen.Registrations.ShouldHaveSingleItem();
        registration.Text("application_type").ShouldBe("native");
        registration.Text("token_endpoint_auth_method").ShouldBe("none");
        registration.Texts("grant_types").ShouldBe(["authorization_code", "refresh_token"], ignoreOrder: true);
        registration.Text("client_name").ShouldNotBeNullOrWhiteSpace();
        var redirect = registration.Texts("redirect_uris").ShouldHaveSingleItem();
        redirect.ShouldMatch(@"^http://localhost:\d+/oauth/callback$");

        var authorization = seen.Authorizations.ShouldHaveSingleItem();
        authorization.Text("redirect_uri").ShouldBe(redirect);
        authorization.Text("response_type").ShouldBe("code");
        authorization.Text("code_challenge_method").ShouldBe("S256");
        authorization.Text("resource").ShouldBe(scene.Server.Url);
        authorization.Text("state").Length.ShouldBeGreaterThanOrEqualTo(22);
        authorization.Text("scope").Split(' ').ShouldBe(s_scope, ignoreOrder: true);

        var request = seen.TokenRequests.ShouldHaveSingleItem();
        request.Text("authentication").ShouldBe("none");
        var parameters = request.GetProperty("params");
        parameters.Text("grant_type").ShouldBe("authorization_code");
        parameters.Text("redirect_uri").ShouldBe(redirect);
        parameters.Text("resource").ShouldBe(scene.Server.Url);
        parameters.Text("code_verifier").Length.ShouldBeInRange(43, 128);
        seen.RefreshTokens.ShouldBe(1);
    }

    [Fact]
    public async Task The_address_is_also_on_standard_error_and_in_a_message_to_the_client()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = scene.Client();

        var message = await client.NotificationAsync("notifications/message");

        var url = await scene.BrowsedAsync();
        message.GetProperty("params").GetProperty("data").ToString().ShouldContain(url);
        await client.Process.ErrorLineAsync(url);
    }

    [Fact]
    public async Task Once_signed_in_the_client_is_told_to_look_again()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = scene.Client();
        await client.NotificationAsync("notifications/message");

        await scene.SignInAsync(await scene.BrowsedAsync());

        await client.NotificationAsync("notifications/tools/list_changed");
        (await client.ResultAsync("list")).GetProperty("tools").Each("name").Select(name => name.GetString()).ShouldContain("whoami");
    }

    [Fact]
    public async Task A_proxy_that_comes_later_needs_no_page()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login");
        await scene.SignInAsync(await scene.BrowsedAsync());
        (await login.ExitAsync()).ShouldBe(0);

        (await scene.Client().WhoAmIAsync()).Text("sub").ShouldBe("ada");
        (await scene.ModernClient().WhoAmIAsync()).Text("sub").ShouldBe("ada");

        scene.Browsed.ShouldHaveSingleItem();
        (await scene.Server.SeenAsync()).TokenRequests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_proxy_that_serves_HTTP_signs_in_as_well()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = scene.HttpClient(await scene.ServeAsync());
        var call = client.WhoAmIAsync();

        await scene.SignInAsync(await scene.BrowsedAsync());

        (await call).Text("sub").ShouldBe("ada");
    }

    [Fact]
    public async Task A_tenant_of_a_server_and_the_scopes_of_the_resource_are_found()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, new { issuerPath = "/tenant", challengeScope = false });
        var client = scene.Client();
        var call = client.WhoAmIAsync();

        await scene.SignInAsync(await scene.BrowsedAsync());

        (await call).Text("iss").ShouldBe(scene.Server.Issuer);
        scene.Server.Issuer.ShouldEndWith("/tenant");
        (await scene.Server.SeenAsync()).Authorizations[0].Text("scope").Split(' ').ShouldBe(s_scope, ignoreOrder: true);
    }

    [Fact]
    public async Task A_tool_that_needs_more_gets_it_by_another_sign_in()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = scene.Client();
        var call = client.WhoAmIAsync();
        await scene.SignInAsync(await scene.BrowsedAsync());
        await call;

        var admin = client.ResultAsync("call admin");

        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync(2));
        await page.EndAsync(page.ConsentAsync);
        using var claims = JsonDocument.Parse((await admin).GetProperty("content")[0].Text("text"));
        claims.RootElement.Text("scope").Split(' ').ShouldBe(["mcp:tools", "mcp:admin"], ignoreOrder: true);
        (await client.WhoAmIAsync()).Text("sub").ShouldBe("ada");
        scene.Browsed.Length.ShouldBe(2);
    }

    [Fact]
    public async Task Two_accounts_at_one_server_are_kept_apart()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var first = scene.Run("login");
        await scene.SignInAsync(await scene.BrowsedAsync());
        (await first.ExitAsync()).ShouldBe(0);
        await scene.ChangeUserAsync();
        var second = scene.Run("login", "--auth-profile", "work");
        await scene.SignInAsync(await scene.BrowsedAsync(2), "grace");
        (await second.ExitAsync()).ShouldBe(0);

        (await scene.Client().WhoAmIAsync()).Text("sub").ShouldBe("ada");
        (await scene.Client("--auth-profile", "work").WhoAmIAsync()).Text("sub").ShouldBe("grace");
        scene.Browsed.Length.ShouldBe(2);
    }

    [Fact]
    public async Task The_browser_goes_on_to_where_the_user_wants_it()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var url = new Uri(new Uri(scene.Server.Url), "/test/seen").AbsoluteUri;
        var login = scene.Run("login", "--auth-success-url", url);

        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync());
        await page.LogInAsync("ada");
        await page.ConsentAsync();

        await page.Page.WaitForURLAsync(url);
        (await login.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_redirect_address_can_be_pasted_in_place_of_the_browser_coming_back()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login");
        var page = await UserPage.OpenAsync(scene, await scene.BrowsedAsync());

        // As on another machine: there is nothing for the browser to come back to.
        await page.LogInAsync("ada");
        await login.TellAsync(await page.InterceptAsync(page.ConsentAsync));

        (await login.ExitAsync()).ShouldBe(0);
        (await scene.Client().WhoAmIAsync()).Text("sub").ShouldBe("ada");
    }
}
