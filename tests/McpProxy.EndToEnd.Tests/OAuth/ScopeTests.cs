using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>What is asked for: no more than is needed, and no less.</summary>
public sealed class ScopeTests(ITestOutputHelper output) : OAuthTest(output)
{
    /// <summary>The scopes of each page, in alphabetical order; empty for none.</summary>
    private IEnumerable<string> Asked => Authorization.To(Endpoint.Authorization)
        .Select(request => string.Join(' ', request.Query.GetValueOrDefault("scope", "").Split(' ').Order(StringComparer.Ordinal)));

    [Theory]
    [InlineData("given by the user", "challenge", "metadata", "by given the user")]
    [InlineData(null, "challenge", "metadata", "challenge")]
    [InlineData(null, null, "metadata", "metadata")]
    [InlineData(null, null, null, "")]
    public async Task Nearest_word_counts(string? given, string? challenge, string? metadata, string expected)
    {
        Browser.SignInAtOnce();
        Server.ChallengeScope = challenge;
        if (metadata is not null)
        {
            Server.EditMetadata = document => document["scopes_supported"] = new JsonArray(metadata);
        }

        await SignInBeforehandAsync(given is null ? [] : ["--scope", given]);

        Asked.ShouldBe([expected]);
        Authorization.To(Endpoint.Authorization).Single().Query.ContainsKey("scope").ShouldBe(expected.Length > 0, "nothing is asked for by leaving it out");
    }

    [Fact]
    public async Task Refresh_tokens_are_asked_for_where_that_takes_a_scope()
    {
        Browser.SignInAtOnce();
        Server.ChallengeScope = "files:read";
        Authorization.EditMetadata = metadata => metadata["scopes_supported"] = new JsonArray("files:read", "offline_access", "openid");

        await SignInBeforehandAsync();

        Asked.ShouldBe(["files:read offline_access"]);
        Authorization.To(Endpoint.Authorization).Single().Query["prompt"].ShouldBe("consent");
    }

    [Theory]
    [InlineData(Era.Legacy, Transport.StreamableHttp)]
    [InlineData(Era.Modern, Transport.StreamableHttp)]
    [InlineData(Era.Legacy, Transport.Sse)]
    public async Task Tool_that_needs_more_leads_to_a_page_that_asks_for_all(Era era, Transport upstream)
    {
        Browser.SignInAtOnce();
        Server.ChallengeScope = "files:read";
        var session = Start(era, Server.At(upstream), null);
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "x")).ShouldBe("x");

        (await session.CallAsync(ProtectedServer.GuardedTool)).ShouldBe("done");
        (await session.CallAsync(ProtectedServer.OtherGuardedTool)).ShouldBe("done");
        (await session.CallAsync(ProtectedServer.GuardedTool)).ShouldBe("done");

        Asked.ShouldBe(["files:read", "files:read files:write", "files:read files:write vault:read"]);
        Browser.Opened.ShouldBe(3);
        Authorization.To(Endpoint.Registration).Count.ShouldBe(1);
    }

    [Fact]
    public async Task Wider_token_is_the_one_that_is_kept()
    {
        Browser.SignInAtOnce();
        Server.ChallengeScope = "files:read";
        var first = Start();
        await first.IntroduceAsync();
        await first.CallAsync(ProtectedServer.GuardedTool);
        await first.EndAsync();

        var second = Start();
        await second.IntroduceAsync();

        (await second.CallAsync(ProtectedServer.GuardedTool)).ShouldBe("done");
        Browser.Opened.ShouldBe(2);
    }

    [Fact]
    public async Task New_sign_in_asks_for_what_the_last_one_had()
    {
        Browser.SignInAtOnce();
        Server.ChallengeScope = "files:read";
        var session = Start();
        await session.IntroduceAsync();
        await session.CallAsync(ProtectedServer.GuardedTool);

        Authorization.RevokeAll();
        (await session.CallAsync(ProtectedServer.GuardedTool)).ShouldBe("done");

        Asked.Last().ShouldBe("files:read files:write");
        Browser.Opened.ShouldBe(3, "not one page for each scope again");
    }

    [Fact]
    public async Task Server_that_is_never_content_does_not_go_on_for_ever()
    {
        Browser.SignInAtOnce();
        Server.IsInsatiable = true;
        var session = Start();
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "x")).ShouldBe("x");

        var error = await session.FailAsync(ProtectedServer.GuardedTool);

        error["message"]!.GetValue<string>().ShouldContain("insufficient_scope");
        Browser.Opened.ShouldBeInRange(2, 4, "one sign-in, and at most three for the call");
        (await session.CallAsync("echo", "still here")).ShouldBe("still here");
    }
}
