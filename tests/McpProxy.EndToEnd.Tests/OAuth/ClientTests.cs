using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using McpProxy.EndToEnd.Tests.OAuth.Servers;

namespace McpProxy.EndToEnd.Tests.OAuth;

/// <summary>Who the program is to an authorization server, and how it proves that.</summary>
public sealed class ClientTests(ITestOutputHelper output) : OAuthTest(output)
{
    /// <summary>Every character that somebody has ever forgotten to encode.</summary>
    private const string Secret = "p@ss:w+rd/ 100% & more=";

    private const string MetadataUrl = "https://client.example/oauth/client.json";

    [Theory]
    [InlineData("client_secret_basic")]
    [InlineData("client_secret_post")]
    public async Task Secret_is_shown_in_the_way_that_is_understood(string method)
    {
        Browser.SignInAtOnce();
        Authorization.OffersRegistration = false;
        Authorization.EditMetadata = metadata => metadata["token_endpoint_auth_methods_supported"] = new JsonArray(method);
        Authorization.Add(new("app") { Secret = Secret, AuthMethod = method });

        await UseAsync(With("MCP_PROXY_CLIENT_SECRET", Secret), "--client-id", "app");
        Authorization.ExpireAccessTokens();
        await UseAsync(With("MCP_PROXY_CLIENT_SECRET", Secret), "--client-id", "app");

        ShouldHaveSignedInOnce(registrations: 0);
        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
    }

    [Fact]
    public async Task Secret_is_shown_in_the_default_way_where_nothing_is_said()
    {
        Browser.SignInAtOnce();
        Authorization.EditMetadata = metadata => metadata.Remove("token_endpoint_auth_methods_supported");
        Authorization.Add(new("app") { Secret = Secret, AuthMethod = "client_secret_basic" });

        await UseAsync(With("MCP_PROXY_CLIENT_SECRET", Secret), "--client-id", "app");

        ShouldHaveSignedInOnce(registrations: 0);
    }

    [Theory]
    [InlineData("variable")]
    [InlineData("file")]
    public async Task Secret_need_not_be_on_the_command_line(string place)
    {
        Browser.SignInAtOnce();
        Authorization.Add(new("app") { Secret = Secret, AuthMethod = "client_secret_basic" });
        var word = place == "file" ? $"@{Write("secret.txt", $"{Secret}\n")}" : "${MY_SECRET}";

        await UseAsync(With("MY_SECRET", Secret), "--client-id", "app", "--client-secret", word);

        ShouldHaveSignedInOnce(registrations: 0);
    }

    [Fact]
    public async Task Client_without_a_secret_can_be_given()
    {
        Browser.SignInAtOnce();
        Authorization.Add(new("app"));

        await UseAsync(null, "--client-id", "app");

        ShouldHaveSignedInOnce(registrations: 0);
        Authorization.To(Endpoint.Authorization).Single().Query["client_id"].ShouldBe("app");
    }

    [Theory]
    [InlineData("EC")]
    [InlineData("RSA")]
    public async Task Key_proves_who_the_client_is(string kind)
    {
        Browser.SignInAtOnce();
        using AsymmetricAlgorithm key = kind == "EC" ? ECDsa.Create(ECCurve.NamedCurves.nistP256) : RSA.Create(2048);
        Authorization.IssuerPath = "/tenant";
        Authorization.EditMetadata = metadata => metadata["token_endpoint_auth_methods_supported"] = new JsonArray("private_key_jwt");
        Authorization.Add(new("app") { Key = key, AuthMethod = "private_key_jwt" });

        await UseAsync(null, "--client-id", "app", "--client-key", Write("key.pem", key.ExportPkcs8PrivateKeyPem()), "--client-key-id", "key-1");
        Authorization.ExpireAccessTokens();
        await UseAsync(null, "--client-id", "app", "--client-key", Path.Combine(Home, "key.pem"), "--client-key-id", "key-1");

        ShouldHaveSignedInOnce(registrations: 0);
        var assertions = Authorization.To(Endpoint.Token).Select(request => request.Form["client_assertion"]).ToList();
        assertions.Distinct(StringComparer.Ordinal).Count().ShouldBe(2, "an assertion is good once");
        JsonNode.Parse(Microsoft.AspNetCore.WebUtilities.WebEncoders.Base64UrlDecode(assertions[0].Split('.')[0]))!["kid"]!.GetValue<string>().ShouldBe("key-1");
    }

    [Fact]
    public async Task Wrong_secret_is_reported()
    {
        Authorization.Add(new("app") { Secret = "another", AuthMethod = "client_secret_basic" });
        var login = Run(["login", Url, "--client-id", "app"], With("MCP_PROXY_CLIENT_SECRET", Secret));

        await Browser.SignInAsync((await Browser.Pages.FirstAsync("the sign-in page")).Url);

        (await login.ExitAsync()).ShouldBe(1);
        string.Join('\n', login.Errors.Lines).ShouldContain("invalid_client");
        Authorization.To(Endpoint.Registration).ShouldBeEmpty("a client that was given is not replaced by another");
    }

    [Fact]
    public async Task Address_of_the_clients_metadata_is_its_name()
    {
        Browser.SignInAtOnce();
        Authorization.AcceptsMetadataUrls = true;

        await UseAsync(null, "--client-metadata-url", MetadataUrl);

        Authorization.To(Endpoint.Authorization).Single().Query["client_id"].ShouldBe(MetadataUrl);
        ShouldHaveSignedInOnce(registrations: 0);
    }

    [Fact]
    public async Task Client_registers_where_such_addresses_are_not_understood()
    {
        Browser.SignInAtOnce();

        await UseAsync(null, "--client-metadata-url", MetadataUrl);

        ShouldHaveSignedInOnce();
    }

    [Fact]
    public async Task Missing_way_to_register_is_explained()
    {
        Authorization.OffersRegistration = false;

        (await RefusedLoginAsync()).ShouldContain("--client-id");
    }

    [Fact]
    public async Task Refused_registration_is_explained()
    {
        Authorization.Misbehavior[Endpoint.Registration] = Faults.OAuthError("invalid_redirect_uri", "only the editors of the house may come in");

        var said = await RefusedLoginAsync();

        said.ShouldContain("invalid_redirect_uri");
        said.ShouldContain("only the editors of the house may come in");
    }

    [Fact]
    public async Task Registration_has_what_the_user_gave()
    {
        Browser.SignInAtOnce();

        await UseAsync(null, "--static-oauth-client-metadata", """{"client_name":"My editor","contacts":["me@example.com"],"scope":"files:read"}""");

        var registration = JsonNode.Parse(Authorization.To(Endpoint.Registration).Single().Body)!;
        registration["client_name"]!.GetValue<string>().ShouldBe("My editor");
        registration["contacts"]![0]!.GetValue<string>().ShouldBe("me@example.com");
        registration["redirect_uris"]!.AsArray().Count.ShouldBeGreaterThan(0);
        Authorization.To(Endpoint.Authorization).Single().Query["scope"].ShouldBe("files:read");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Registration_made_elsewhere_is_used_as_it_is(bool fromFile)
    {
        Browser.SignInAtOnce();
        var port = UnusedPort();
        var redirect = string.Create(CultureInfo.InvariantCulture, $"http://localhost:{port}/from/the/portal");
        Authorization.Add(new("app") { Secret = Secret, AuthMethod = "client_secret_post", RedirectUris = [redirect] });
        var information = new JsonObject
        {
            ["client_id"] = "app",
            ["client_secret"] = Secret,
            ["redirect_uris"] = new JsonArray(redirect),
            ["token_endpoint_auth_method"] = "client_secret_post",
            ["issuer"] = Authorization.Issuer,
        }.ToJsonString();

        await UseAsync(null, "--static-oauth-client-info", fromFile ? $"@{Write("client.json", information)}" : information);

        ShouldHaveSignedInOnce(registrations: 0);
        Authorization.To(Endpoint.Authorization).Single().Query["redirect_uri"].ShouldBe(redirect);
    }

    [Fact]
    public async Task Registration_of_another_issuer_is_not_used()
    {
        (await RefusedLoginAsync("--static-oauth-client-info", """{"client_id":"app","issuer":"https://elsewhere.example"}""")).ShouldContain("https://elsewhere.example");
    }

    [Fact]
    public async Task Server_that_moves_to_another_authorization_server_takes_nothing_along()
    {
        Browser.SignInAtOnce();
        await UseAsync(null);
        var other = Own(await AuthorizationServer.StartNewAsync());
        Watch("the other authorization server", other.Text);
        other.Account = "ann at her new home";
        Server.Authorization = other;

        var session = Start();
        await session.IntroduceAsync();

        (await session.CallAsync("who")).ShouldBe("ann at her new home");
        other.To(Endpoint.Registration).Count.ShouldBe(1);
        other.Requests.All.ShouldAllBe(request => !Authorization.Secrets.Any(secret => request.ToString().Contains(secret, StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Keycloak_is_understood()
    {
        Browser.SignInAtOnce();
        Authorization.BehaveLikeKeycloak();

        await UseAsync(null);
        Authorization.ExpireAccessTokens();
        await UseAsync(null);

        ShouldHaveSignedInOnce();
        JsonNode.Parse(Authorization.To(Endpoint.Registration).Single().Body)!["token_endpoint_auth_method"]!.GetValue<string>().ShouldNotBe("none", "that is not on offer");
        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
    }

    [Fact]
    public async Task Entra_is_understood()
    {
        Browser.SignInAtOnce();
        Authorization.BehaveLikeEntra();
        Authorization.Add(new("11111111-2222-3333-4444-555555555555"));
        string[] options = ["--client-id", "11111111-2222-3333-4444-555555555555", "--disable-resource-parameter", "--scope", "api://app/.default offline_access"];

        await UseAsync(null, options);
        Authorization.ExpireAccessTokens();
        await UseAsync(null, options);

        ShouldHaveSignedInOnce(registrations: 0);
        Authorization.To(Endpoint.Authorization).Single().Query["scope"].ShouldBe("api://app/.default offline_access");
        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
    }

    [Fact]
    public async Task Google_is_understood()
    {
        Browser.SignInAtOnce();
        Authorization.BehaveLikeGoogle();
        Authorization.Add(new("app.apps.googleusercontent.com") { Secret = Secret, AuthMethod = "client_secret" });
        string[] options = ["--client-id", "app.apps.googleusercontent.com", "--authorize-param", "access_type=offline", "--authorize-param", "prompt=consent"];

        await UseAsync(With("MCP_PROXY_CLIENT_SECRET", Secret), options);
        Authorization.ExpireAccessTokens();
        await UseAsync(With("MCP_PROXY_CLIENT_SECRET", Secret), options);

        ShouldHaveSignedInOnce(registrations: 0);
        Authorization.TokenRequests("refresh_token").Count.ShouldBe(1);
    }

    private async Task UseAsync(IReadOnlyDictionary<string, string?>? environment, params string[] options)
    {
        var session = Start(Era.Legacy, Url, environment, options);
        await session.IntroduceAsync();
        (await session.CallAsync("echo", "x")).ShouldBe("x");
        await session.EndAsync();
    }
}
