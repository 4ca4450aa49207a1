using System.Net;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.OAuth.Servers;
using McpProxy.EndToEnd.Tests.Programs;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>Several programs of one user, started together, as an editor with several windows does.</summary>
public sealed class ManyProcessesTests(ITestOutputHelper output) : OAuthTest(output)
{
    private const int Processes = 5;

    [Fact]
    public async Task Five_that_start_with_nothing_sign_in_once()
    {
        Browser.SignInAtOnce();
        var sessions = StartMany(Processes);

        await Task.WhenAll(sessions.Select(UseAsync));

        ShouldHaveSignedInOnce();
        Authorization.To(Endpoint.Authorization).Count.ShouldBe(1);
    }

    [Fact]
    public async Task Those_of_all_kinds_sign_in_once()
    {
        Browser.SignInAtOnce();
        var sessions = StartMany(2);
        var served = Enumerable.Range(0, 2).Select(_ => Run(["--debug", "--port", "0", Url])).ToList();

        await Task.WhenAll([.. sessions.Select(UseAsync), .. served.Select(UseOverHttpAsync)]);

        ShouldHaveSignedInOnce();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task End_of_the_one_that_opened_the_page_stops_nobody(bool isViolent)
    {
        var (leader, others) = await StartSignInAsync(3);
        var page = Browser.Pages.All.Single();

        await EndAsync(leader, isViolent);
        var visit = await Browser.FollowPatientlyAsync(await Browser.ApproveAsync(page.Url));

        visit.Status.ShouldBe(HttpStatusCode.OK);
        foreach (var (session, call) in others)
        {
            StdioSession.TextOf(await session.AnswerAsync(call)).ShouldBe("alive");
        }

        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Death_in_the_middle_of_the_exchange_costs_one_page_more()
    {
        var (leader, others) = await StartSignInAsync(3);
        Authorization.Misbehavior[Endpoint.Token] = Faults.Silence;
        var code = await Browser.ApproveAsync(Browser.Pages.All.Single().Url);
        var visit = Browser.FollowAsync(code);
        await Authorization.ArrivedAsync(Endpoint.Token);

        // The code is spent: whoever goes on has to ask for another.
        await EndAsync(leader, isViolent: true);
        await Should.ThrowAsync<HttpRequestException>(() => visit);
        Authorization.Misbehavior.Clear();
        await Browser.Pages.ManyAsync(2, "another page");
        Browser.SignInAtOnce();

        foreach (var (session, call) in others)
        {
            StdioSession.TextOf(await session.AnswerAsync(call)).ShouldBe("alive");
        }

        Browser.Opened.ShouldBe(2);
        Authorization.To(Endpoint.Registration).Count.ShouldBe(1);
    }

    [Fact]
    public async Task Death_in_the_middle_of_a_refresh_leaves_nothing_locked()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        Authorization.ExpireAccessTokens();
        Authorization.Misbehavior[Endpoint.Token] = Faults.Silence;
        var dying = Start();
        await dying.SendInitializeAsync();
        await Authorization.ArrivedAsync(Endpoint.Token, 2);

        await EndAsync(dying, isViolent: true);
        Authorization.Misbehavior.Clear();

        await SignInBeforehandAsync();
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Refusal_is_everybodys()
    {
        Authorization.Refusal = "access_denied";
        var (leader, others) = await StartSignInAsync(3);

        await Browser.SignInAsync(Browser.Pages.All.Single().Url);

        foreach (var (session, call) in others)
        {
            StdioSession.ErrorOf(await session.AnswerAsync(call))["message"]!.GetValue<string>().ShouldContain("denied");
        }

        await leader.EndAsync();
        Browser.Opened.ShouldBe(1, "a user who said no is not asked by the next one");
    }

    [Fact]
    public async Task One_that_comes_later_joins_the_sign_in()
    {
        var first = Start();
        await first.IntroduceAsync();
        var page = await Browser.Pages.FirstAsync("the sign-in page");

        // The one that comes later tells its own client where to go, without a page of its own.
        var second = Start();
        await second.IntroduceAsync();
        Browser.UrlIn((await second.NotificationAsync("notifications/message"))["params"]!["data"]!.ToString()).ShouldBe(page.Url);
        await Browser.SignInAsync(page.Url);

        (await first.CallAsync("echo", "1")).ShouldBe("1");
        (await second.CallAsync("echo", "2")).ShouldBe("2");
        ShouldHaveSignedInOnce();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Five_with_an_expired_token_spend_the_refresh_token_once(bool expiryIsKnown)
    {
        Browser.SignInAtOnce();
        Authorization.ExpiresIn = _ => expiryIsKnown ? 1 : 3600;
        await SignInBeforehandAsync();
        Authorization.ExpiresIn = _ => 3600;
        var before = Authorization.TokenRequests("refresh_token").Count;
        Authorization.ExpireAccessTokens();
        var sessions = StartMany(Processes);

        await Task.WhenAll(sessions.Select(UseAsync));

        (Authorization.TokenRequests("refresh_token").Count - before).ShouldBe(1);
        Authorization.Reuses.ShouldBe(0);
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Five_that_are_running_spend_the_refresh_token_once()
    {
        Browser.SignInAtOnce();
        var sessions = StartMany(Processes);
        await Task.WhenAll(sessions.Select(UseAsync));

        for (var round = 1; round <= 3; round++)
        {
            Authorization.ExpireAccessTokens();
            foreach (var text in await Task.WhenAll(sessions.Select(session => session.CallAsync("echo", "again"))))
            {
                text.ShouldBe("again");
            }

            Authorization.TokenRequests("refresh_token").Count.ShouldBe(round);
        }

        Authorization.Reuses.ShouldBe(0);
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Five_whose_grant_was_taken_back_sign_in_once_more()
    {
        Browser.SignInAtOnce();
        var sessions = StartMany(Processes);
        await Task.WhenAll(sessions.Select(UseAsync));

        Authorization.RevokeAll();
        foreach (var text in await Task.WhenAll(sessions.Select(session => session.CallAsync("echo", "again"))))
        {
            text.ShouldBe("again");
        }

        Browser.Opened.ShouldBe(2);
        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
        Authorization.To(Endpoint.Registration).Count.ShouldBe(1);
    }

    /// <summary>Starts some that all want to call a tool, while nobody signs in.</summary>
    /// <returns>The one that opened the page; the others, and their calls.</returns>
    private async Task<(StdioSession Leader, IReadOnlyList<(StdioSession Session, int Call)> Others)> StartSignInAsync(int count)
    {
        var sessions = Enumerable.Range(0, count).Select(_ => Start("--auth-wait", "120")).ToList();
        await Task.WhenAll(sessions.Select(session => session.IntroduceAsync()));
        var calls = await Task.WhenAll(sessions.Select(session => session.SendCallAsync("echo", "alive")));
        var page = await Browser.Pages.FirstAsync("the sign-in page");
        var leader = sessions.SingleOrDefault(session => session.Proxy.Id == page.OpenedBy) ?? throw new InvalidOperationException("none of them opened the page");
        return (leader, [.. sessions.Zip(calls).Where(pair => pair.First != leader)]);
    }

    private static async Task EndAsync(StdioSession session, bool isViolent)
    {
        if (!isViolent)
        {
            await session.EndAsync();
            return;
        }

        session.Proxy.Kill();
        await PosixSignals.GoneAsync(session.Proxy.Id, "the one that was killed");
    }

    private List<StdioSession> StartMany(int count) => [.. Enumerable.Range(0, count).Select(_ => Start())];

    private static async Task UseAsync(StdioSession session)
    {
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "works")).ShouldBe("works");
    }

    private static async Task UseOverHttpAsync(Proxy proxy)
    {
        await using var client = await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(Transport.StreamableHttp), Transport.StreamableHttp), "2025-11-25");
        (await client.TextAsync("echo", new { text = "works" })).ShouldBe("works");
    }
}
