using System.Globalization;
using System.Net;
using System.Net.Sockets;
using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>The address that the user comes back to, and what is believed of those who come there.</summary>
public sealed class CallbackTests(ITestOutputHelper output) : OAuthTest(output)
{
    [Fact]
    public async Task Answer_to_another_question_is_refused()
    {
        var session = Start("--auth-wait", "120");
        await session.IntroduceAsync();
        var call = await session.SendCallAsync("echo", "in the end");
        var page = (await Browser.Pages.FirstAsync("the sign-in page")).Url;
        Authorization.EditRedirect = answer => answer["state"] = "somebody-elses";

        var forged = await Browser.SignInAsync(page);

        ((int)forged.Status).ShouldBeInRange(400, 499);
        Authorization.To(Endpoint.Token).ShouldBeEmpty();

        // Whoever sends such things to the port must not be able to end the user's own sign-in.
        Authorization.EditRedirect = null;
        (await Browser.SignInAsync(page)).Status.ShouldBe(HttpStatusCode.OK);
        StdioSession.TextOf(await session.AnswerAsync(call)).ShouldBe("in the end");
        Authorization.To(Endpoint.Token).Count.ShouldBe(1);
    }

    [Theory]
    [InlineData("wrong", true)]
    [InlineData("wrong", false)]
    [InlineData("missing", true)]
    public async Task Answer_of_another_issuer_is_refused(string issuer, bool isPromised)
    {
        if (!isPromised)
        {
            Authorization.EditMetadata = metadata => metadata.Remove("authorization_response_iss_parameter_supported");
        }

        Authorization.EditRedirect = answer =>
        {
            answer.Remove("iss");
            if (issuer == "wrong")
            {
                answer["iss"] = "https://evil.example";
            }
        };
        var login = Run(["login", Url, "--debug"]);

        var visit = await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        visit.Status.ShouldNotBe(HttpStatusCode.OK);
        (await login.ExitAsync()).ShouldBe(1);
        string.Join('\n', login.Errors.Lines).ShouldMatch("issuer|does not come from");
        Authorization.To(Endpoint.Token).ShouldBeEmpty("a code must not go where it may not belong");
    }

    [Fact]
    public async Task Error_of_another_issuer_is_not_shown()
    {
        Authorization.Refusal = "call_this_number_for_help";
        Authorization.EditRedirect = answer => answer["iss"] = "https://evil.example";
        var login = Run(["login", Url]);

        var visit = await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        (await login.ExitAsync()).ShouldBe(1);
        visit.Body.ShouldNotContain("call_this_number");
        string.Join('\n', login.Errors.Lines).ShouldNotContain("call_this_number");
    }

    [Fact]
    public async Task Issuer_may_be_left_out_where_it_was_not_promised()
    {
        Authorization.EditMetadata = metadata => metadata.Remove("authorization_response_iss_parameter_supported");
        Authorization.EditRedirect = answer => answer.Remove("iss");
        Browser.SignInAtOnce();

        await SignInBeforehandAsync();

        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task What_the_authorization_server_says_is_text_and_no_page()
    {
        Authorization.Refusal = "<script>alert(1)</script>";
        var login = Run(["login", Url]);

        var visit = await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        visit.Body.ShouldNotContain("<script>alert");
        (await login.ExitAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task Other_addresses_of_the_listener_are_nothing()
    {
        Run(["login", Url]);
        var page = (await Browser.Pages.FirstAsync("the sign-in page")).Url;
        var callback = await Browser.ApproveAsync(page);

        (await Browser.FollowAsync(new(callback, "/"))).Status.ShouldBe(HttpStatusCode.NotFound);
        (await Browser.FollowAsync(new(callback, "/favicon.ico"))).Status.ShouldBe(HttpStatusCode.NotFound);
        ((int)(await Browser.FollowAsync(new(callback, callback.AbsolutePath))).Status).ShouldBeInRange(400, 499);
        (await Browser.FollowAsync(callback)).Status.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task Both_loopback_addresses_are_served()
    {
        var login = Run(["login", Url]);
        var callback = await Browser.ApproveAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        // A browser takes whichever of the two it likes for "localhost".
        (await Browser.FollowAsync(new UriBuilder(callback) { Host = "127.0.0.1", Path = "/" }.Uri)).Status.ShouldBe(HttpStatusCode.NotFound);
        if (Socket.OSSupportsIPv6)
        {
            (await Browser.FollowAsync(new UriBuilder(callback) { Host = "[::1]" }.Uri)).Status.ShouldBe(HttpStatusCode.OK);
            (await login.ExitAsync()).ShouldBe(0);
        }
    }

    [Fact]
    public async Task Port_stays_the_same_over_restarts()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        Authorization.RevokeAll();

        await SignInBeforehandAsync();

        Authorization.To(Endpoint.Authorization).Count.ShouldBe(2);
        Authorization.To(Endpoint.Authorization).Select(request => request.Query["redirect_uri"]).Distinct(StringComparer.Ordinal).Count().ShouldBe(1);
        Authorization.To(Endpoint.Registration).Count.ShouldBe(1);
    }

    [Fact]
    public async Task Registered_port_that_is_taken_is_replaced_by_another_registration()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        var first = new Uri(Authorization.To(Endpoint.Authorization).Single().Query["redirect_uri"]);
        Authorization.RevokeAll();
        using var squatter = Occupy(first.Port);

        await SignInBeforehandAsync();

        new Uri(Authorization.To(Endpoint.Authorization)[1].Query["redirect_uri"]).Port.ShouldNotBe(first.Port);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Port_can_be_chosen(bool byOption)
    {
        Browser.SignInAtOnce();
        var port = UnusedPort();
        var word = port.ToString(CultureInfo.InvariantCulture);

        await SignInBeforehandAsync(byOption ? ["--callback-port", word] : [word]);

        Authorization.To(Endpoint.Authorization).Single().Query["redirect_uri"].ShouldBe($"http://localhost:{word}/oauth/callback");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Chosen_port_that_is_taken_is_an_error_that_says_so()
    {
        using var squatter = Occupy(0);
        var port = ((IPEndPoint)squatter.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);

        (await RefusedLoginAsync("--callback-port", port)).ShouldContain(port);

        var session = Start("--callback-port", port);
        (await session.TurnedAwayAsync()).ShouldContain(port);
    }

    [Fact]
    public async Task Given_client_whose_port_browsers_block_is_an_error_that_says_so() =>
        (await RefusedLoginAsync("--static-oauth-client-info", """{"client_id":"app","redirect_uris":["http://localhost:6000/oauth/callback"]}""")).ShouldContain("no browser opens port 6000");

    [Fact]
    public async Task Host_and_path_can_be_chosen()
    {
        Browser.SignInAtOnce();

        await SignInBeforehandAsync("--callback-path", "/back/here", "--callback-host", "127.0.0.1");

        var redirect = new Uri(Authorization.To(Endpoint.Authorization).Single().Query["redirect_uri"]);
        (redirect.Host, redirect.AbsolutePath).ShouldBe(("127.0.0.1", "/back/here"));
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task User_can_be_sent_on_to_a_page_of_ones_own()
    {
        Browser.SignInAtOnce();

        await SignInBeforehandAsync("--auth-success-url", "https://example.com/welcome");

        Browser.Visits.All.Single().Location.ShouldBe(new Uri("https://example.com/welcome"));
    }

    [Fact]
    public async Task Further_parameters_reach_the_page()
    {
        Browser.SignInAtOnce();

        await SignInBeforehandAsync("--authorize-param", "prompt=login", "--authorize-param", "login_hint=zoë & co");

        var page = Authorization.To(Endpoint.Authorization).Single().Query;
        page["prompt"].ShouldBe("login");
        page["login_hint"].ShouldBe("zoë & co");
    }

    [Theory]
    [InlineData("state=x")]
    [InlineData("redirect_uri=http://localhost/")]
    [InlineData("code_challenge=x")]
    public async Task Parameters_that_protect_the_user_cannot_be_given(string parameter)
    {
        var proxy = Run([Url, "--authorize-param", parameter]);

        (await proxy.ExitAsync()).ShouldNotBe(0);
        string.Join('\n', proxy.Errors.Lines).ShouldContain(parameter.Split('=')[0]);
    }

    /// <summary>Takes a port; any, where none is named.</summary>
    private static TcpListener Occupy(int port)
    {
        var listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
        return listener;
    }
}
