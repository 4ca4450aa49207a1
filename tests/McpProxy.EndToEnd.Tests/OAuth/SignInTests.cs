using System.Net;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>A user who signs in as soon as the page is there.</summary>
public sealed class SignInTests(ITestOutputHelper output) : OAuthTest(output)
{
    [Theory]
    [InlineData(Era.Legacy, Transport.StreamableHttp)]
    [InlineData(Era.Modern, Transport.StreamableHttp)]
    [InlineData(Era.Legacy, Transport.Sse)]
    public async Task One_page_lets_a_client_on_standard_input_in(Era era, Transport upstream)
    {
        Browser.SignInAtOnce();
        var session = Start(era, Server.At(upstream), null);

        await session.IntroduceAsync();

        (await session.CallAsync("echo", "hello")).ShouldBe("hello");
        (await session.CallAsync("who")).ShouldBe("ann");
        ShouldHaveSignedInOnce();
        Server.Entered.ShouldAllBe(request => Authorization.Find(request.Bearer) != null);
    }

    [Theory]
    [InlineData(Transport.StreamableHttp, Era.Legacy)]
    [InlineData(Transport.StreamableHttp, Era.Modern)]
    [InlineData(Transport.Sse, Era.Legacy)]
    public async Task One_page_lets_clients_over_http_in(Transport downstream, Era era)
    {
        Browser.SignInAtOnce();
        var proxy = Run(["--debug", "--port", "0", Url]);
        var url = await proxy.ListeningAsync(downstream);

        var first = Own(await TestClient.ConnectAsync(TestClient.Http(url, downstream), TestClient.VersionOf(era)));
        var second = Own(await TestClient.ConnectAsync(TestClient.Http(url, downstream), TestClient.VersionOf(era)));

        (await first.TextAsync("echo", new { text = "one" })).ShouldBe("one");
        (await second.TextAsync("echo", new { text = "two" })).ShouldBe("two");
        ShouldHaveSignedInOnce();
    }

    [Theory]
    [InlineData(Era.Legacy)]
    [InlineData(Era.Modern)]
    public async Task One_page_lets_a_client_in_to_a_server_of_the_other_era(Era client)
    {
        Server.Speaks = client == Era.Legacy ? Era.Modern : Era.Legacy;
        Browser.SignInAtOnce();
        var session = Start(client, Url, null);

        await session.IntroduceAsync();

        (await session.CallAsync("echo", "hello")).ShouldBe("hello");
        (await session.CallAsync("who")).ShouldBe("ann");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Client_of_both_eras_finds_the_newer_one_behind_the_page()
    {
        Browser.SignInAtOnce();
        var proxy = Run(["--debug", "--port", "0", Url]);

        var client = Own(await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(Transport.StreamableHttp), Transport.StreamableHttp), protocolVersion: null));

        client.Sdk.NegotiatedProtocolVersion.ShouldBe("2026-07-28");
        (await client.TextAsync("echo", new { text = "x" })).ShouldBe("x");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Requests_are_what_the_specifications_ask_for()
    {
        Browser.SignInAtOnce();

        await SignInBeforehandAsync();

        var registration = JsonNode.Parse(Authorization.To(Endpoint.Registration).Single().Body)!;
        registration["application_type"]?.GetValue<string>().ShouldBe("native");
        registration["token_endpoint_auth_method"]?.GetValue<string>().ShouldBe("none");
        registration["grant_types"]!.AsArray().Select(type => type!.GetValue<string>()).ShouldBe(["authorization_code", "refresh_token"], ignoreOrder: true);
        registration["redirect_uris"]!.AsArray().Select(uri => uri!.GetValue<string>()).ShouldContain(Authorization.To(Endpoint.Authorization).Single().Query["redirect_uri"]);
        var page = Authorization.To(Endpoint.Authorization).Single().Query;
        page["response_type"].ShouldBe("code");
        page["code_challenge_method"].ShouldBe("S256");
        page["code_challenge"].Length.ShouldBe(43);
        page["state"].Length.ShouldBeGreaterThan(20, "nobody may guess it");
        var redirect = new Uri(page["redirect_uri"]);
        (redirect.Scheme, redirect.Host, redirect.AbsolutePath).ShouldBe(("http", "localhost", "/oauth/callback"));
        var exchange = Authorization.TokenRequests("authorization_code").Single();
        exchange.Form["code_verifier"].Length.ShouldBeInRange(43, 128);
        exchange.Form["client_id"].ShouldBe(page["client_id"]);
    }

    [Fact]
    public async Task User_is_left_with_a_page_that_says_so()
    {
        Browser.SignInAtOnce();
        var session = Start();

        await session.IntroduceAsync();
        await session.CallAsync("echo", "x");

        var visit = Browser.Visits.All.Single();
        visit.Status.ShouldBe(HttpStatusCode.OK);
        visit.Body.ShouldContain("<html", Case.Insensitive);
        visit.Body.ShouldNotContain("code-");
    }

    [Fact]
    public async Task Next_start_needs_no_page()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();

        var next = Start();
        await next.IntroduceAsync();

        (await next.CallAsync("who")).ShouldBe("ann");
        ShouldHaveSignedInOnce();
        Authorization.To(Endpoint.Token).Count.ShouldBe(1);
        Server.Unauthorized.Count.ShouldBe(1, "the token is sent with the very first request of the next start");
    }

    [Fact]
    public async Task Browser_that_does_not_start_is_no_obstacle()
    {
        var session = Start(Era.Legacy, Url, With("BROWSER", "/no/such/browser"));
        var id = await session.SendInitializeAsync();
        var line = await session.Proxy.Errors.FirstAsync("the page's address", Browser.HasUrl);

        await Browser.SignInAsync(Browser.UrlIn(line));

        (await session.AnswerAsync(id))["result"].ShouldNotBeNull();
        (await session.CallAsync("echo", "x")).ShouldBe("x");
        Browser.Opened.ShouldBe(0);
    }

    [Fact]
    public async Task Browser_is_not_started_when_that_is_not_wanted()
    {
        var session = Start("--no-browser");
        await session.SendInitializeAsync();
        var line = await session.Proxy.Errors.FirstAsync("the page's address", Browser.HasUrl);

        await Browser.SignInAsync(Browser.UrlIn(line));

        (await session.CallAsync("echo", "x")).ShouldBe("x");
        Browser.Opened.ShouldBe(0);
    }
}
