using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.Clients;
using McpProxy.EndToEnd.Tests.OAuth.Servers;
using ModelContextProtocol;
using ModelContextProtocol.Protocol;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>A page that nobody looks at for a while: the client must not think that the server is dead, and must learn what to do.</summary>
public sealed class UnansweredPageTests(ITestOutputHelper output) : OAuthTest(output)
{
    /// <summary>The error of a request that waits for a user.</summary>
    private const int SignInRequired = -32010;

    [Fact]
    public async Task Client_is_told_the_address_and_gets_everything_after_the_sign_in()
    {
        var session = Start("--auth-wait", "1", "--log-level", "info");

        // Nobody signs in: the proxy speaks for a server that it has not reached yet.
        var introduction = await session.IntroduceAsync();

        introduction["protocolVersion"]!.GetValue<string>().ShouldBe("2025-11-25");
        foreach (var feature in new[] { "tools", "prompts", "resources" })
        {
            introduction["capabilities"]![feature]!["listChanged"]!.GetValue<bool>().ShouldBeTrue(feature);
        }

        introduction["capabilities"]!["logging"].ShouldNotBeNull();
        var page = (await Browser.Pages.FirstAsync("the sign-in page")).Url;
        var message = await session.NotificationAsync("notifications/message");
        message["params"]!["level"]!.GetValue<string>().ShouldBe("warning");
        Browser.UrlIn(message["params"]!["data"]!.ToString()).ShouldBe(page);
        Browser.UrlIn(await session.Proxy.Errors.FirstAsync("the page's address", Browser.HasUrl)).ShouldBe(page);
        session.Proxy.Output.Lines.ShouldAllBe(line => JsonNode.Parse(line) is JsonObject);

        var error = StdioSession.ErrorOf(await session.AskAsync("tools/list"));

        error["code"]!.GetValue<int>().ShouldBe(SignInRequired);
        Browser.UrlIn(error["message"]!.GetValue<string>()).ShouldBe(page);
        error["data"]!["url"]!.GetValue<string>().ShouldBe(page.OriginalString);

        await Browser.SignInAsync(page);

        foreach (var list in new[] { "tools", "prompts", "resources" })
        {
            await session.NotificationAsync($"notifications/{list}/list_changed");
        }

        var tools = (await session.AskAsync("tools/list"))["result"]!["tools"]!.AsArray();
        tools.Select(tool => tool!["name"]!.GetValue<string>()).ShouldContain("echo");
        ShouldHaveSignedInOnce();
        Server.Entered.Count(request => request.Body.Contains("\"initialize\"", StringComparison.Ordinal)).ShouldBe(1, "the server was introduced to the client after all");
    }

    [Theory]
    [InlineData(Transport.StreamableHttp)]
    [InlineData(Transport.Sse)]
    public async Task Client_over_http_is_told_the_same(Transport downstream)
    {
        var proxy = Run(["--debug", "--port", "0", "--auth-wait", "1", Url]);
        var client = Own(await TestClient.ConnectAsync(TestClient.Http(await proxy.ListeningAsync(downstream), downstream), "2025-11-25"));
        var page = (await Browser.Pages.FirstAsync("the sign-in page")).Url;

        var error = await Should.ThrowAsync<McpException>(() => client.TextAsync("echo", new { text = "x" }));

        Browser.UrlIn(error.Message).ShouldBe(page);
        (await client.NotificationAsync(NotificationMethods.LoggingMessageNotification, parameters => Browser.HasUrl(parameters!["data"]!.ToString()))).ShouldNotBeNull();

        await Browser.SignInAsync(page);

        await client.NotificationAsync(NotificationMethods.ToolListChangedNotification, _ => true);
        (await client.TextAsync("echo", new { text = "x" })).ShouldBe("x");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Ping_is_answered_meanwhile()
    {
        var session = Start("--auth-wait", "120");
        await session.IntroduceAsync();

        (await session.AskAsync("ping"))["result"].ShouldNotBeNull();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Client_is_answered_while_nobody_says_where_to_sign_in(bool isServer)
    {
        if (isServer)
        {
            Server.MetadataFault = Faults.Silence;
        }
        else
        {
            Authorization.Misbehavior[Endpoint.Metadata] = Faults.Silence;
        }

        var session = Start("--auth-wait", "1");

        (await session.IntroduceAsync())["capabilities"]!["tools"].ShouldNotBeNull();
        StdioSession.ErrorOf(await session.AskAsync("tools/list"))["message"]!.GetValue<string>().ShouldNotBeEmpty();
        Browser.Opened.ShouldBe(0);
        await session.EndAsync();
    }

    [Fact]
    public async Task Request_that_can_wait_is_answered_by_the_server()
    {
        var session = Start("--auth-wait", "120");
        await session.IntroduceAsync();
        var list = await session.SendAsync("tools/list");
        var call = await session.SendCallAsync("echo", "held");

        await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        (await session.AnswerAsync(list))["result"]!["tools"].ShouldNotBeNull();
        StdioSession.TextOf(await session.AnswerAsync(call)).ShouldBe("held");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Modern_client_is_told_the_address_as_well()
    {
        // Long enough for the page to be known by then, on a busy machine as well.
        var session = Start(Era.Modern, Url, null, "--auth-wait", "6");

        var error = StdioSession.ErrorOf(await session.AskAsync("server/discover"));

        error["code"]!.GetValue<int>().ShouldBe(SignInRequired);
        var page = (await Browser.Pages.FirstAsync("the sign-in page")).Url;
        Browser.UrlIn(error["message"]!.GetValue<string>()).ShouldBe(page);

        await Browser.SignInAsync(page);

        (await session.IntroduceAsync())["supportedVersions"]!.AsArray().Count.ShouldBe(1);
        (await session.CallAsync("echo", "x")).ShouldBe("x");
        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Many_requests_open_one_page()
    {
        var session = Start("--auth-wait", "120");
        await session.IntroduceAsync();
        var calls = new List<int>();
        for (var i = 0; i < 10; i++)
        {
            calls.Add(await session.SendCallAsync("echo", $"{i}"));
        }

        await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        for (var i = 0; i < 10; i++)
        {
            StdioSession.TextOf(await session.AnswerAsync(calls[i])).ShouldBe($"{i}");
        }

        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Refused_sign_in_ends_the_wait_and_only_a_call_asks_again()
    {
        Authorization.Refusal = "access_denied";
        var session = Start("--auth-wait", "120");
        await session.IntroduceAsync();
        var call = await session.SendCallAsync("echo");

        // Once this is answered, the call has been read too: it waits for the page that is refused.
        await session.AskAsync("ping");
        var visit = await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        var error = StdioSession.ErrorOf(await session.AnswerAsync(call));

        error["message"]!.GetValue<string>().ShouldContain("denied");
        visit.Body.ShouldContain("denied");
        Authorization.To(Endpoint.Token).ShouldBeEmpty();

        // Clients ask for lists and send pings by themselves; a user who said no is not asked again for that.
        await session.AskAsync("ping");
        StdioSession.ErrorOf(await session.AskAsync("tools/list"))["message"]!.GetValue<string>().ShouldNotBeEmpty();
        Browser.Opened.ShouldBe(1);

        Authorization.Refusal = null;
        Browser.SignInAtOnce();
        (await session.CallAsync("echo", "at last")).ShouldBe("at last");
        Browser.Opened.ShouldBe(2);
    }

    [Fact]
    public async Task Page_that_nobody_answers_is_given_up()
    {
        var session = Start("--auth-timeout", "8", "--auth-wait", "120");
        await session.IntroduceAsync();

        var error = await session.FailAsync();

        error["message"]!.GetValue<string>().ShouldNotBeEmpty();
        Browser.Opened.ShouldBe(1);
        Authorization.To(Endpoint.Token).ShouldBeEmpty();
    }

    [Fact]
    public async Task Client_that_leaves_takes_the_program_along()
    {
        var session = Start();
        await session.IntroduceAsync();
        await Browser.Pages.FirstAsync("the sign-in page");

        await session.EndAsync();
    }
}
