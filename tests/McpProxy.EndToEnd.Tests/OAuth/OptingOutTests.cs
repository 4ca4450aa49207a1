namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>Users who do not want to be signed in, because they have a token or because they want to see the refusal.</summary>
public sealed class OptingOutTests(ITestOutputHelper output) : OAuthTest(output)
{
    [Fact]
    public async Task Refusal_is_passed_on()
    {
        var session = Start("--no-oauth");

        (await RefusalAsync(session)).ShouldContain("401");

        ShouldNotHaveAsked();
    }

    [Theory]
    [InlineData("Authorization")]
    [InlineData("authorization")]
    public async Task Token_of_ones_own_is_all_that_is_sent(string name)
    {
        Server.OwnToken = "my-own-token";
        var session = Start("--header", $"{name}: Bearer my-own-token");

        await session.IntroduceAsync();

        (await session.CallAsync("echo", "x")).ShouldBe("x");
        Server.Requests.All.ShouldAllBe(request => request.Bearer == "my-own-token");
        ShouldNotHaveAsked();
    }

    [Fact]
    public async Task Token_of_the_environment_is_all_that_is_sent()
    {
        Server.OwnToken = "my-own-token";
        var session = Start(Era.Legacy, Url, With("API_ACCESS_TOKEN", "my-own-token"));

        await session.IntroduceAsync();

        (await session.CallAsync("echo", "x")).ShouldBe("x");
        ShouldNotHaveAsked();
    }

    [Fact]
    public async Task Token_of_ones_own_that_is_refused_leads_to_no_page()
    {
        var session = Start("--header", "Authorization: Bearer outdated");

        (await RefusalAsync(session)).ShouldContain("401");

        ShouldNotHaveAsked();
    }

    [Fact]
    public async Task Token_of_ones_own_wins_over_a_stored_one()
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync();
        Server.OwnToken = "my-own-token";

        var session = Start("--header", "Authorization: Bearer my-own-token");
        await session.IntroduceAsync();

        (await session.CallAsync("who")).ShouldBe("nobody");
        Browser.Opened.ShouldBe(1);
    }

    private static async Task<string> RefusalAsync(StdioSession session)
    {
        return StdioSession.ErrorOf(await session.AnswerAsync(await session.SendInitializeAsync()))["message"]!.GetValue<string>();
    }

    private void ShouldNotHaveAsked()
    {
        Browser.Opened.ShouldBe(0);
        Authorization.Requests.All.ShouldBeEmpty();
        Server.Requests.All.ShouldAllBe(request => request.Path == "/mcp");
    }
}
