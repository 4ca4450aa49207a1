using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>Signing in and out by hand.</summary>
public sealed class CommandTests(ITestOutputHelper output) : OAuthTest(output)
{
    [Theory]
    [InlineData(Transport.StreamableHttp)]
    [InlineData(Transport.Sse)]
    public async Task Login_signs_in_beforehand(Transport upstream)
    {
        Browser.SignInAtOnce();

        var login = Run(["login", Server.At(upstream)]);

        (await login.ExitAsync()).ShouldBe(0);
        login.Errors.Lines.ShouldContain(line => Browser.HasUrl(line));
        var session = Start(Era.Legacy, Server.At(upstream), null);
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "x")).ShouldBe("x");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Login_of_somebody_who_is_signed_in_asks_nothing()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();

        (await Run(["login", Url]).ExitAsync()).ShouldBe(0);

        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Login_without_a_listener_takes_the_address_that_the_browser_could_not_open()
    {
        var login = Run(["login", Url, "--no-browser"]);
        var page = Browser.UrlIn(await login.Errors.FirstAsync("the page's address", Browser.HasUrl));

        // The user is somewhere else: their browser ends at an address of that machine, and they copy it from there.
        var callback = await Browser.ApproveAsync(page);
        await login.Input.WriteLineAsync($"{callback.GetLeftPart(UriPartial.Path)}?code=x&state=wrong");
        await login.Input.WriteLineAsync("what is this");
        await login.Input.WriteLineAsync($"  {callback.OriginalString}  ");

        (await login.ExitAsync()).ShouldBe(0);
        Authorization.To(Endpoint.Token).Count.ShouldBe(1);
        await SignInBeforehandAsync();
        Browser.Opened.ShouldBe(0);
    }

    [Fact]
    public async Task Login_whose_input_is_closed_still_waits_for_the_browser()
    {
        var login = Run(["login", Url]);
        login.Input.Close();

        await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        (await login.ExitAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task Login_that_the_user_refuses_fails()
    {
        Authorization.Refusal = "access_denied";
        Browser.SignInAtOnce();

        var login = Run(["login", Url]);

        (await login.ExitAsync()).ShouldBe(1);
        string.Join('\n', login.Errors.Lines).ShouldContain("denied");
    }

    [Fact]
    public async Task Login_that_nobody_answers_ends()
    {
        var login = Run(["login", Url, "--auth-timeout", "1"]);

        (await login.ExitAsync()).ShouldBe(1);

        login.Errors.Lines.ShouldContain(line => Browser.HasUrl(line));
    }

    [Fact]
    public async Task Login_ends_at_a_signal()
    {
        var login = Run(["login", Url]);
        await Browser.Pages.FirstAsync("the sign-in page");

        login.Terminate();

        (await login.ExitAsync()).ShouldNotBe(0);
    }

    [Fact]
    public async Task Login_serves_the_ones_that_are_waiting()
    {
        var session = Start("--auth-wait", "120");
        await session.IntroduceAsync();
        var call = await session.SendCallAsync("echo", "x");
        await Browser.Pages.FirstAsync("the sign-in page");
        var login = Run(["login", Url]);
        var page = Browser.UrlIn(await login.Errors.FirstAsync("the page's address", Browser.HasUrl));

        await Browser.SignInAsync(page);

        (await login.ExitAsync()).ShouldBe(0);
        StdioSession.TextOf(await session.AnswerAsync(call)).ShouldBe("x");
        Authorization.TokenRequests("authorization_code").Count.ShouldBe(1);
    }

    [Fact]
    public async Task Logout_gives_the_tokens_back()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        var token = Server.Entered[0].Bearer;

        var logout = Run(["logout", Url]);

        (await logout.ExitAsync()).ShouldBe(0);
        Authorization.To(Endpoint.Revocation).Count.ShouldBeGreaterThan(0);
        Authorization.Find(token).ShouldBeNull();
        await SignInBeforehandAsync();
        Browser.Opened.ShouldBe(2);
        Authorization.TokenRequests("refresh_token").ShouldBeEmpty("nothing was left to refresh");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Logout_forgets_the_tokens_even_if_nobody_takes_them_back(bool isAway)
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        if (isAway)
        {
            await Authorization.LeaveAsync();
        }
        else
        {
            Authorization.Misbehavior[Endpoint.Revocation] = Faults.ServerError;
        }

        await Run(["logout", Url]).ExitAsync(TimeSpan.FromSeconds(60));

        if (isAway)
        {
            await Authorization.ComeBackAsync();
        }

        await SignInBeforehandAsync();
        Browser.Opened.ShouldBe(2);
    }

    [Fact]
    public async Task Logout_of_nothing_is_no_error() => (await Run(["logout", Url]).ExitAsync()).ShouldBe(0);

    [Fact]
    public async Task Status_says_what_is_there_and_no_secret()
    {
        (await Run(["status"]).ExitAsync()).ShouldBe(0);
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        await SignInBeforehandAsync("--auth-profile", "work");

        var status = Run(["status"]);

        (await status.ExitAsync()).ShouldBe(0);
        var said = string.Join('\n', status.Output.Lines);
        said.ShouldContain(Url);
        said.ShouldContain("work");
        foreach (var secret in Authorization.Secrets)
        {
            said.ShouldNotContain(secret);
        }
    }

    [Fact]
    public async Task Reset_forgets_everything()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        await SignInBeforehandAsync("--auth-profile", "work");

        (await Run(["reset"]).ExitAsync()).ShouldBe(0);

        var kept = Directory.Exists(Store) ? Directory.EnumerateFiles(Store, "*", SearchOption.AllDirectories).Select(File.ReadAllText).ToList() : [];
        foreach (var secret in Authorization.Secrets)
        {
            kept.ShouldAllBe(content => !content.Contains(secret, StringComparison.Ordinal));
        }

        await SignInBeforehandAsync();
        Browser.Opened.ShouldBe(3);
        Authorization.To(Endpoint.Registration).Count.ShouldBe(3, "a client that is forgotten registers anew");
    }
}
