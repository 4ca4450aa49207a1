using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>How the authorization server is found, and which are not trusted.</summary>
public sealed class DiscoveryTests(ITestOutputHelper output) : OAuthTest(output)
{
    [Theory]
    [InlineData(MetadataForms.OAuth, "")]
    [InlineData(MetadataForms.OidcAppended, "")]
    [InlineData(MetadataForms.OAuth, "/tenant/one")]
    [InlineData(MetadataForms.OidcInserted, "/tenant/one")]
    [InlineData(MetadataForms.OidcAppended, "/tenant/one")]
    public async Task Authorization_server_is_found_in_every_place(MetadataForms form, string path)
    {
        Browser.SignInAtOnce();
        Authorization.Forms = form;
        Authorization.IssuerPath = path;

        await SignInBeforehandAsync();

        ShouldHaveSignedInOnce();
    }

    [Theory]
    [InlineData(MetadataPlace.Named)]
    [InlineData(MetadataPlace.Path)]
    [InlineData(MetadataPlace.Root)]
    public async Task Server_says_in_any_place_who_lets_users_in(MetadataPlace place)
    {
        Browser.SignInAtOnce();
        Server.Place = place;

        await SignInBeforehandAsync();

        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Server_of_2025_03_26_lets_users_in_itself()
    {
        Browser.SignInAtOnce();
        Server.Place = MetadataPlace.None;
        Authorization.EditRedirect = answer => answer.Remove("iss");

        await SignInBeforehandAsync();

        Authorization.Requests.All.ShouldBeEmpty("nobody was told of another origin");
        Server.Requests.Where(request => request.Path == "/register").Count.ShouldBe(1);
        Server.Requests.Where(request => request.Path == "/token").Count.ShouldBe(1);
        Browser.Opened.ShouldBe(1);
    }

    [Fact]
    public async Task Wrong_issuer_is_refused()
    {
        Authorization.EditMetadata = metadata => metadata["issuer"] = "https://honest.example";

        (await RefusedLoginAsync()).ShouldContain("issuer");

        Authorization.To(Endpoint.Registration).ShouldBeEmpty();
    }

    [Fact]
    public async Task Issuer_with_a_slash_more_is_another_one()
    {
        Authorization.EditMetadata = metadata => metadata["issuer"] = $"{Authorization.Issuer}/";

        (await RefusedLoginAsync()).ShouldContain("issuer");
    }

    [Fact]
    public async Task Authorization_server_without_pkce_is_refused()
    {
        Authorization.EditMetadata = metadata => metadata.Remove("code_challenge_methods_supported");

        (await RefusedLoginAsync()).ShouldContain("PKCE");
    }

    [Fact]
    public async Task Authorization_server_with_plain_pkce_only_is_refused()
    {
        Authorization.EditMetadata = metadata => metadata["code_challenge_methods_supported"] = new JsonArray("plain");

        (await RefusedLoginAsync()).ShouldContain("S256");
    }

    [Theory]
    [InlineData("https://other.example/mcp")]
    [InlineData("{origin}/other")]
    [InlineData("{origin}/mcp/deeper")]
    [InlineData("{origin}/mc")]
    public async Task Metadata_of_another_resource_is_refused(string resource)
    {
        resource = resource.Replace("{origin}", Server.Origin, StringComparison.Ordinal);
        Server.EditMetadata = metadata => metadata["resource"] = resource;

        (await RefusedLoginAsync()).ShouldContain(resource);

        Authorization.Requests.All.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("authorization_endpoint", "javascript:alert(1)")]
    [InlineData("authorization_endpoint", "file:///etc/passwd")]
    [InlineData("authorization_endpoint", "http://not-loopback.example/authorize")]
    [InlineData("authorization_endpoint", null)]
    [InlineData("token_endpoint", "http://not-loopback.example/token")]
    [InlineData("token_endpoint", "file:///etc/passwd")]
    [InlineData("token_endpoint", null)]
    public async Task Endpoint_that_nothing_may_be_sent_to_is_refused_before_anybody_is_asked(string endpoint, string? url)
    {
        Authorization.EditMetadata = metadata => metadata[endpoint] = url;

        (await RefusedLoginAsync()).ShouldMatch("(authorization|token) endpoint|not-loopback");
    }

    [Fact]
    public async Task Metadata_that_lead_to_another_host_are_not_followed()
    {
        var other = Own(await AuthorizationServer.StartNewAsync());
        Authorization.Misbehavior[Endpoint.Metadata] = Faults.RedirectTo($"{other.Origin}/.well-known/oauth-authorization-server");

        await RefusedLoginAsync();

        other.Requests.All.ShouldBeEmpty();
    }

    [Fact]
    public async Task Server_that_names_nobody_is_refused()
    {
        Server.EditMetadata = metadata => metadata["authorization_servers"] = new JsonArray();

        (await RefusedLoginAsync()).ShouldContain(Server.Origin);

        Authorization.Requests.All.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(Endpoint.Metadata, "garbage")]
    [InlineData(Endpoint.Metadata, "endless")]
    [InlineData(Endpoint.Metadata, "error")]
    [InlineData(Endpoint.Metadata, "hang-up")]
    [InlineData(Endpoint.Metadata, "silence")]
    [InlineData(Endpoint.Registration, "garbage")]
    [InlineData(Endpoint.Registration, "endless")]
    [InlineData(Endpoint.Registration, "error")]
    [InlineData(Endpoint.Registration, "silence")]
    public async Task Authorization_server_that_makes_no_sense_holds_nobody_up(Endpoint endpoint, string fault)
    {
        Authorization.Misbehavior[endpoint] = Of(fault);

        var said = await RefusedLoginAsync("--auth-timeout", "3");

        said.ShouldContain(Authorization.Origin, Case.Sensitive, "who is to blame");
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("endless")]
    [InlineData("error")]
    [InlineData("hang-up")]
    [InlineData("silence")]
    public async Task Token_endpoint_that_makes_no_sense_holds_nobody_up(string fault)
    {
        Authorization.Misbehavior[Endpoint.Token] = Of(fault);
        var login = Run(["login", Url, "--auth-timeout", "5"]);

        var visit = await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        (await login.ExitAsync(TimeSpan.FromSeconds(60))).ShouldBe(1);
        login.Errors.Lines[^1].ShouldContain(Authorization.Origin, Case.Sensitive, "who is to blame");
        ((int)visit.Status).ShouldBeInRange(400, 599);
        visit.Body.ShouldContain(Authorization.Origin);
    }

    [Fact]
    public async Task Client_is_told_why_there_is_no_sign_in()
    {
        Authorization.EditMetadata = metadata => metadata["issuer"] = "https://honest.example";
        var session = Start();


        (await session.TurnedAwayAsync()).ShouldContain("issuer");
        Browser.Opened.ShouldBe(0);
    }

    private static Fault Of(string name) => name switch
    {
        "garbage" => Faults.Garbage,
        "endless" => Faults.EndlessBody,
        "error" => Faults.ServerError,
        "hang-up" => Faults.HangUp,
        _ => Faults.Silence,
    };
}
