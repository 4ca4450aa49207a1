using System.Text.RegularExpressions;
using McpProxy.NodePeers.Tests.Scenery;
using Microsoft.Playwright;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>A user signs in with a browser that may be anywhere (RFC 8628).</summary>
public sealed partial class DeviceTests(Chromium chromium)
{
    [Fact]
    public async Task Who_has_entered_the_code_can_use_the_tools()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var client = scene.Client("--device-code", "--no-browser");
        var call = client.WhoAmIAsync();

        var page = await UserPage.OpenAsync(scene, Address(await client.Process.ErrorLineAsync("/device")));
        await page.ConsentAsync();
        await page.LogInAsync("ada");
        await page.ConsentAsync();
        await Assertions.Expect(page.Page.Locator("body")).ToContainTextAsync("Success");

        var who = await call;
        who.Text("sub").ShouldBe("ada");
        who.Text("aud").ShouldBe(scene.Server.Url);
        scene.Browsed.ShouldBeEmpty();
        var seen = await scene.Server.SeenAsync();
        seen.OfKind("device").ShouldHaveSingleItem().GetProperty("params").Text("resource").ShouldBe(scene.Server.Url);
        seen.Registrations.ShouldHaveSingleItem().Texts("grant_types").ShouldContain("urn:ietf:params:oauth:grant-type:device_code");

        await scene.Server.ExpireAsync();
        (await client.WhoAmIAsync()).Text("sub").ShouldBe("ada");
        (await scene.Server.SeenAsync()).Grants("refresh_token").ShouldHaveSingleItem();
    }

    [Fact]
    public async Task The_code_can_be_typed_in()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login", "--device-code", "--no-browser");
        var line = await login.ErrorLineAsync("/device");

        var code = UserCode().Match(line).Value;
        code.ShouldNotBeEmpty(line);
        var page = await UserPage.OpenAsync(scene, $"{scene.Server.Issuer}/device");
        await page.Page.GetByPlaceholder("Enter code").FillAsync(code);
        await page.ConsentAsync();
        await Assertions.Expect(page.Page.Locator("code")).ToHaveTextAsync(code);
        await page.ConsentAsync();
        await page.LogInAsync("ada");
        await page.ConsentAsync();

        (await login.ExitAsync()).ShouldBe(0);
        (await scene.Client().WhoAmIAsync()).Text("sub").ShouldBe("ada");
    }

    [Fact]
    public async Task Who_has_used_the_browser_before_can_use_a_code_next_time()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login");
        await scene.SignInAsync(await scene.BrowsedAsync());
        (await login.ExitAsync()).ShouldBe(0);
        (await scene.Client().WhoAmIAsync()).Text("sub").ShouldBe("ada");
        await scene.Server.ForgetAsync();
        await scene.Server.ExpireAsync();

        var client = scene.Client("--device-code", "--no-browser");
        var call = client.WhoAmIAsync();
        var page = await UserPage.OpenAsync(scene, Address(await client.Process.ErrorLineAsync("/device")));
        await page.ConsentAsync();
        await Assertions.Expect(page.Page.GetByRole(AriaRole.Heading)).ToHaveTextAsync("Authorize");
        await page.ConsentAsync();

        (await call).Text("sub").ShouldBe("ada");
    }

    [Fact]
    public async Task The_user_can_refuse()
    {
        await using var scene = await SignInScene.OpenAsync(chromium);
        var login = scene.Run("login", "--device-code", "--no-browser");

        var page = await UserPage.OpenAsync(scene, Address(await login.ErrorLineAsync("/device")));
        await page.Page.GetByRole(AriaRole.Button, new() { Name = "[ Abort ]" }).ClickAsync();

        (await login.ExitAsync()).ShouldBe(1);
        await login.ErrorLineAsync("the sign-in was refused");
    }

    private static string Address(string line) => UrlPattern().Match(line).Value;

    [GeneratedRegex(@"http://\S+/device\S*", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex UrlPattern();

    [GeneratedRegex("[A-Z]{4}-[A-Z]{4}", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex UserCode();
}
