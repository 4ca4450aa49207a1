namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>Tokens that are of no use to a thief: every request proves that its sender has a key (RFC 9449).</summary>
public sealed class DpopTests(ITestOutputHelper output) : OAuthTest(output)
{
    [Theory]
    [InlineData(Era.Legacy, Transport.StreamableHttp, false)]
    [InlineData(Era.Legacy, Transport.StreamableHttp, true)]
    [InlineData(Era.Modern, Transport.StreamableHttp, true)]
    [InlineData(Era.Legacy, Transport.Sse, true)]
    public async Task Requests_prove_who_sends_them(Era era, Transport upstream, bool withNonces)
    {
        Browser.SignInAtOnce();
        Server.WantsDpop = true;
        Server.DpopNonce = withNonces ? "nonce-of-the-server" : null;
        Authorization.DpopNonce = withNonces ? "nonce-of-the-authorization-server" : null;
        var session = Start(era, Server.At(upstream), null);

        await session.IntroduceAsync();
        (await session.CallAsync("echo", "x")).ShouldBe("x");
        Server.DpopNonce = withNonces ? "another-nonce" : null;
        (await session.CallAsync("echo", "y")).ShouldBe("y");
        Authorization.ExpireAccessTokens();
        (await session.CallAsync("echo", "z")).ShouldBe("z");
        await session.EndAsync();

        // The key is kept along with the tokens.
        var next = Start(era, Server.At(upstream), null);
        await next.IntroduceAsync();
        (await next.CallAsync("echo", "x")).ShouldBe("x");
        Server.Requests.All.ShouldAllBe(request => request.Bearer == null);
        Browser.Opened.ShouldBe(1);
    }

    [Fact]
    public async Task Metadata_can_ask_for_it_as_well()
    {
        Browser.SignInAtOnce();
        Server.WantsDpop = true;
        Server.KeepsDpopQuiet = true;

        await SignInBeforehandAsync();

        ShouldHaveSignedInOnce();
    }
}
