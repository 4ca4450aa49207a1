using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>The server that a token is for (RFC 8707): said on the page, at the exchange and at each refresh, or nowhere.</summary>
public sealed class ResourceTests(ITestOutputHelper output) : OAuthTest(output)
{
    [Fact]
    public async Task Everybody_is_told_the_same()
    {
        await SignInAndRefreshAsync();

        Resources().ShouldBe([Url, Url, Url]);
    }

    [Fact]
    public async Task Resource_is_the_one_of_the_metadata()
    {
        Server.Place = MetadataPlace.Root;

        await SignInAndRefreshAsync();

        Resources().ShouldAllBe(resource => resource == Server.Origin || resource == $"{Server.Origin}/");
        Resources().Distinct(StringComparer.Ordinal).Count().ShouldBe(1);
    }

    [Fact]
    public async Task Resource_can_be_given()
    {
        Server.ChecksAudience = false;

        await SignInAndRefreshAsync("--resource", "https://tenant1.example/");

        Resources().ShouldBe(["https://tenant1.example/", "https://tenant1.example/", "https://tenant1.example/"]);
    }

    [Theory]
    [InlineData("--disable-resource-parameter")]
    [InlineData("--resource", "")]
    public async Task Resource_can_be_left_out(params string[] options)
    {
        Authorization.RefusesResource = true;

        await SignInAndRefreshAsync(options);

        Resources().ShouldBe([null, null, null]);
    }

    private async Task SignInAndRefreshAsync(params string[] options)
    {
        Browser.SignInAtOnce();
        await SignInBeforehandAsync(options);
        Authorization.ExpireAccessTokens();
        await SignInBeforehandAsync(options);
        ShouldHaveSignedInOnce();
        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
    }

    /// <summary>What was said on the page, at the exchange, and at the refresh.</summary>
    private IEnumerable<string?> Resources() =>
    [
        Authorization.To(Endpoint.Authorization).Single().Query.GetValueOrDefault("resource"),
        Authorization.TokenRequests("authorization_code").Single().Form.GetValueOrDefault("resource"),
        Authorization.TokenRequests("refresh_token").Single().Form.GetValueOrDefault("resource"),
    ];
}
