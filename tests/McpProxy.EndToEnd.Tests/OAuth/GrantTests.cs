using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>Ways to a token without a page on this machine.</summary>
public sealed class GrantTests(ITestOutputHelper output) : OAuthTest(output)
{
    private const string Secret = "a-machines-secret";

    [Fact]
    public async Task User_of_another_device_types_a_code_there()
    {
        var session = Start("--device-code", "--auth-wait", "120", "--log-level", "info");
        await session.IntroduceAsync();
        var call = await session.SendCallAsync("who");
        var line = await session.Proxy.Errors.FirstAsync("the code to type", line => line.Contains("WDJB-1000", StringComparison.Ordinal));
        line.ShouldContain($"{Authorization.Issuer}/activate");
        (await session.NotificationAsync("notifications/message"))["params"]!["data"]!.ToString().ShouldContain("WDJB-1000");
        await Authorization.Requests.FirstAsync("a poll", request => request.GrantType == AuthorizationServer.DeviceCodeGrant);

        Authorization.ApproveDevice("WDJB-1000");

        StdioSession.TextOf(await session.AnswerAsync(call)).ShouldBe("ann");
        Authorization.To(Endpoint.DeviceAuthorization).Single().Form["resource"].ShouldBe(Url);
        Authorization.To(Endpoint.Authorization).ShouldBeEmpty();
        await session.EndAsync();

        // What was got that way is kept and renewed like everything else.
        Authorization.ExpireAccessTokens();
        await SignInBeforehandAsync("--device-code");
        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
        Authorization.To(Endpoint.DeviceAuthorization).Count.ShouldBe(1);
    }

    [Fact]
    public async Task Device_that_is_told_to_slow_down_does()
    {
        Authorization.SlowDowns = 1;
        var login = Run(["login", Url, "--device-code"]);
        await Authorization.Requests.FirstAsync("a poll", request => request.GrantType == AuthorizationServer.DeviceCodeGrant);

        Authorization.ApproveDevice("WDJB-1000");

        (await login.ExitAsync()).ShouldBe(0);
        var polls = Authorization.TokenRequests(AuthorizationServer.DeviceCodeGrant);
        polls.Count.ShouldBe(2);

        // RFC 8628, section 3.5: five seconds more than before, so that there is a least that no busy machine can spoil.
        (polls[1].At - polls[0].At).ShouldBeGreaterThan(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task Authorization_server_without_device_codes_is_reported()
    {
        Authorization.EditMetadata = metadata => metadata.Remove("device_authorization_endpoint");

        (await RefusedLoginAsync("--device-code")).ShouldContain("device");
    }

    [Theory]
    [InlineData(Era.Legacy)]
    [InlineData(Era.Modern)]
    public async Task Machine_signs_in_for_itself(Era era)
    {
        Server.ChallengeScope = "files:read";
        Authorization.Add(new("svc") { Secret = Secret, AuthMethod = "client_secret_basic" });
        var session = Start(era, Url, With("MCP_PROXY_CLIENT_SECRET", Secret), "--client-credentials", "--client-id", "svc");

        await session.IntroduceAsync();

        (await session.CallAsync("who")).ShouldBe("svc");
        var request = Authorization.TokenRequests("client_credentials").Single();
        request.Form["scope"].ShouldBe("files:read");
        request.Form["resource"].ShouldBe(Url);
        Browser.Opened.ShouldBe(0);
        Authorization.To(Endpoint.Authorization).ShouldBeEmpty();

        Authorization.ExpireAccessTokens();
        int[] calls = [await session.SendCallAsync("echo", "a"), await session.SendCallAsync("echo", "b")];

        StdioSession.TextOf(await session.AnswerAsync(calls[0])).ShouldBe("a");
        StdioSession.TextOf(await session.AnswerAsync(calls[1])).ShouldBe("b");
        Authorization.TokenRequests("client_credentials").Count.ShouldBe(2);
    }

    [Theory]
    [InlineData("--client-credentials", "--token-endpoint")]
    [InlineData("--token-url")]
    public async Task Machine_that_knows_the_way_does_not_ask_for_it(params string[] options)
    {
        Authorization.Add(new("svc") { Secret = Secret, AuthMethod = "client_secret_basic" });
        var session = Start(
            Era.Legacy, Url, With("MCP_PROXY_CLIENT_SECRET", Secret), [.. options, $"{Authorization.Issuer}/token", "--client-id", "svc", "--scope", "files:read"]);

        await session.IntroduceAsync();

        (await session.CallAsync("who")).ShouldBe("svc");
        Authorization.TokenRequests("client_credentials").Single().Form["scope"].ShouldBe("files:read");
        Authorization.Requests.All.ShouldAllBe(request => request.Path == "/token");
        Server.Requests.All.ShouldAllBe(request => request.Path == "/mcp");
    }

    [Fact]
    public async Task Machine_with_a_wrong_secret_is_told_so()
    {
        Authorization.Add(new("svc") { Secret = "another", AuthMethod = "client_secret_basic" });
        var session = Start(Era.Legacy, Url, With("MCP_PROXY_CLIENT_SECRET", Secret), "--client-credentials", "--client-id", "svc");


        (await session.TurnedAwayAsync()).ShouldContain("invalid_client");
        Browser.Opened.ShouldBe(0);
    }

    [Fact]
    public async Task Workload_shows_the_assertion_that_its_platform_gave_it()
    {
        Authorization.Add(new("workload"));
        Authorization.Accept("first-assertion");
        Authorization.Accept("second-assertion");
        var file = Write("assertion.jwt", "first-assertion\n");
        var session = Start("--assertion-file", file, "--client-id", "workload");
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "x")).ShouldBe("x");

        // The platform puts a new one there before the old one is over.
        Write("assertion.jwt", "second-assertion\n");
        Authorization.ExpireAccessTokens();

        (await session.CallAsync("echo", "y")).ShouldBe("y");
        Authorization.TokenRequests(AuthorizationServer.JwtBearerGrant).Select(request => request.Form["assertion"]).ShouldBe(["first-assertion", "second-assertion"]);
        Browser.Opened.ShouldBe(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Company_lets_its_people_in(bool byDiscovery)
    {
        var company = Own(await AuthorizationServer.StartNewAsync());
        Watch("the identity provider", company.Text);
        company.Audience = Authorization;
        company.Accept("an-id-token");
        company.Add(new("editor-at-company") { Secret = "company-secret", AuthMethod = "client_secret_basic" });
        Authorization.Add(new("editor") { Secret = Secret, AuthMethod = "client_secret_basic" });
        string[] where = byDiscovery ? ["--idp-issuer", company.Issuer] : ["--idp-token-endpoint", $"{company.Issuer}/token"];
        var session = Start(
            Era.Legacy,
            Url,
            With("MCP_PROXY_CLIENT_SECRET", Secret),
            [
                .. where, "--idp-client-id", "editor-at-company", "--idp-client-secret", $"@{Write("company.txt", "company-secret")}",
                "--idp-id-token-file", Write("id-token.jwt", "an-id-token"), "--client-id", "editor",
            ]);

        await session.IntroduceAsync();

        (await session.CallAsync("echo", "x")).ShouldBe("x");
        var exchange = company.TokenRequests(AuthorizationServer.TokenExchangeGrant).Single().Form;
        exchange["subject_token_type"].ShouldBe("urn:ietf:params:oauth:token-type:id_token");
        exchange["resource"].ShouldBe(Url);
        Authorization.TokenRequests(AuthorizationServer.JwtBearerGrant).Count.ShouldBe(1);
        Browser.Opened.ShouldBe(0);
    }
}
