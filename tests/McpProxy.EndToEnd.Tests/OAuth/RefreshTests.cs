using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>Tokens that have had their time.</summary>
public sealed class RefreshTests(ITestOutputHelper output) : OAuthTest(output)
{
    private IReadOnlyList<SeenRequest> Refreshes => Authorization.TokenRequests("refresh_token");

    [Theory]
    [InlineData(Era.Legacy, Transport.StreamableHttp)]
    [InlineData(Era.Modern, Transport.StreamableHttp)]
    [InlineData(Era.Legacy, Transport.Sse)]
    public async Task Refused_token_is_renewed_once_and_the_calls_go_through(Era era, Transport upstream)
    {
        Browser.SignInAtOnce();
        var session = Start(era, Server.At(upstream), null);
        await session.IntroduceAsync();
        await session.CallAsync("echo", "before");

        Authorization.ExpireAccessTokens();
        int[] calls = [await session.SendCallAsync("echo", "a"), await session.SendCallAsync("echo", "b"), await session.SendCallAsync("echo", "c")];

        StdioSession.TextOf(await session.AnswerAsync(calls[0])).ShouldBe("a");
        StdioSession.TextOf(await session.AnswerAsync(calls[1])).ShouldBe("b");
        StdioSession.TextOf(await session.AnswerAsync(calls[2])).ShouldBe("c");
        Refreshes.Count.ShouldBe(1);
        Authorization.Reuses.ShouldBe(0);
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Call_under_way_survives_the_end_of_its_token()
    {
        Browser.SignInAtOnce();
        var session = Start();
        await session.IntroduceAsync();
        var call = await session.SendCallAsync("wait");
        await Server.Requests.FirstAsync("the call", request => request.Body.Contains("\"wait\"", StringComparison.Ordinal) && request.Bearer is not null);

        Authorization.ExpireAccessTokens();
        (await session.CallAsync("echo", "x")).ShouldBe("x");
        Server.Release();

        StdioSession.TextOf(await session.AnswerAsync(call)).ShouldBe("waited");
        Refreshes.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Token_is_renewed_before_the_server_refuses_it()
    {
        // The server would take the token for ever: who renews it does so by the clock.
        Browser.SignInAtOnce();
        Authorization.ExpiresIn = request => request.GrantType == "refresh_token" ? 3600 : 2;
        var session = Start();
        await session.IntroduceAsync();
        await session.CallAsync("echo", "x");
        var refused = Server.Unauthorized.Count;

        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        var refresh = Authorization.Requests.FirstAsync("a refresh", request => request.GrantType == "refresh_token");
        while (!refresh.IsCompleted)
        {
            await session.CallAsync("echo", "x");
            await timer.WaitForNextTickAsync(TestContext.Current.CancellationToken);
        }

        (await session.CallAsync("echo", "renewed")).ShouldBe("renewed");
        Server.Unauthorized.Count.ShouldBe(refused);
        Refreshes.Count.ShouldBe(1);
        Server.Entered[^1].Bearer.ShouldNotBe(Server.Entered[0].Bearer);
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Rotated_refresh_token_is_the_one_that_the_next_start_uses()
    {
        Browser.SignInAtOnce();
        for (var start = 0; start < 3; start++)
        {
            await SignInBeforehandAsync();
            Authorization.ExpireAccessTokens();
        }

        Refreshes.Count.ShouldBe(2);
        Refreshes.Select(request => request.Form["refresh_token"]).Distinct(StringComparer.Ordinal).Count().ShouldBe(2);
        Authorization.Reuses.ShouldBe(0);
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Grant_that_was_taken_back_leads_to_one_new_sign_in()
    {
        Browser.SignInAtOnce();
        var session = Start();
        await session.IntroduceAsync();
        await session.CallAsync("echo", "before");

        Authorization.RevokeAll();

        (await session.CallAsync("echo", "after")).ShouldBe("after");
        Refreshes.Count.ShouldBe(1, "what is refused for good is not tried again");
        Browser.Opened.ShouldBe(2);
        Authorization.To(Endpoint.Registration).Count.ShouldBe(1, "the client is still known");
    }

    [Fact]
    public async Task Client_that_was_forgotten_registers_again()
    {
        Browser.SignInAtOnce();
        var session = Start();
        await session.IntroduceAsync();
        await session.CallAsync("echo", "before");

        Authorization.ForgetClients();
        Authorization.ExpireAccessTokens();

        (await session.CallAsync("echo", "after")).ShouldBe("after");
        Authorization.To(Endpoint.Registration).Count.ShouldBe(2);
        Browser.Opened.ShouldBe(2);
    }

    [Fact]
    public async Task Token_that_cannot_be_renewed_leads_to_a_new_sign_in()
    {
        Browser.SignInAtOnce();
        Authorization.GivesRefreshToken = _ => false;
        var session = Start();
        await session.IntroduceAsync();
        await session.CallAsync("echo", "before");

        Authorization.ExpireAccessTokens();

        (await session.CallAsync("echo", "after")).ShouldBe("after");
        Refreshes.ShouldBeEmpty();
        Browser.Opened.ShouldBe(2);
    }

    [Theory]
    [InlineData("error")]
    [InlineData("unavailable")]
    [InlineData("garbage")]
    [InlineData("hang-up")]
    public async Task Trouble_at_the_token_endpoint_costs_no_sign_in(string trouble)
    {
        Browser.SignInAtOnce();
        var session = Start();
        await session.IntroduceAsync();
        await session.CallAsync("echo", "before");
        Authorization.ExpireAccessTokens();

        Authorization.Misbehavior[Endpoint.Token] = trouble switch
        {
            "error" => Faults.ServerError,
            "unavailable" => Faults.OAuthError("temporarily_unavailable", status: 503),
            "garbage" => Faults.Garbage,
            _ => Faults.HangUp,
        };
        (await session.FailAsync())["message"]!.GetValue<string>().ShouldNotBeEmpty();
        Authorization.Misbehavior.Clear();

        (await session.CallAsync("echo", "after")).ShouldBe("after");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Authorization_server_that_is_away_costs_no_sign_in()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        Authorization.ExpireAccessTokens();
        await Authorization.LeaveAsync();

        var session = Start("--auth-wait", "5");
        var first = await session.SendInitializeAsync();
        await session.AnswerAsync(first);
        await session.EndAsync();
        await Authorization.ComeBackAsync();

        await SignInBeforehandAsync();
        Refreshes.Count.ShouldBe(1);
        ShouldHaveSignedInOnce();
    }

    [Theory]
    [InlineData(Transport.StreamableHttp)]
    [InlineData(Transport.Sse)]
    public async Task Stream_that_opens_again_by_itself_opens_no_page(Transport upstream)
    {
        Browser.SignInAtOnce();
        var session = Start(Era.Legacy, Server.At(upstream), null);
        await session.IntroduceAsync();
        await session.CallAsync("echo", "before");
        await Server.Answers.FirstAsync("the server's own stream", request => request.Method == "GET" && request.Status == 200);

        var refused = Server.Answers.Count(IsRefusedStream);

        // As after a night in which the laptop slept and an administrator did not.
        Authorization.RevokeAll();
        Server.CutStreams();

        // With the second attempt the first one is over, and whatever it has led to.
        await Server.Answers.ManyAsync(refused + 2, "two attempts to open the stream again", IsRefusedStream);
        Refreshes.Count.ShouldBe(1);
        await session.EndAsync();

        ShouldHaveSignedInOnce();
    }

    private static bool IsRefusedStream(SeenRequest request) => request.Method == "GET" && request.Status == 401;
}
