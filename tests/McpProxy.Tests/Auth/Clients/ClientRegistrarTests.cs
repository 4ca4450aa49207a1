using System.Text.Json;
using McpProxy.Auth;
using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Clients;

/// <summary>RFC 7591; MCP 2026-07-28, "Dynamic Client Registration".</summary>
public sealed class ClientRegistrarTests
{
    private const string RedirectUri = "http://localhost:1234/oauth/callback";
    private static readonly AuthorizationServer s_server = new("https://as.test") { RegistrationEndpoint = new("https://as.test/register") };

    [Fact]
    public async Task A_client_says_who_it_is()
    {
        var request = await AskAsync(new());
        request.GetProperty("redirect_uris").ToString().ShouldBe($"[\"{RedirectUri}\"]");
        Strings(request, "response_types").ShouldBe(["code"]);
        Strings(request, "grant_types").ShouldContain("authorization_code");
        Strings(request, "grant_types").ShouldContain("refresh_token");
        (Text(request, "client_name"), Text(request, "application_type"), Text(request, "token_endpoint_auth_method")).ShouldBe(("mcp-proxy", "native", "none"));
        request.TryGetProperty("scope", out _).ShouldBeFalse();
        Text(await AskAsync(new() { Scope = " a  b" }), "scope").ShouldBe("a b");
        Strings(await AskAsync(new(), redirectUri: null), "grant_types").ShouldContain("urn:ietf:params:oauth:grant-type:device_code");
    }

    [Theory]
    [InlineData(null, false, "none")]
    [InlineData("", false, "none")]
    [InlineData("client_secret_basic none", false, "none")]
    [InlineData("client_secret_post client_secret_basic", false, "client_secret_basic")]
    [InlineData("client_secret_post private_key_jwt", false, "client_secret_post")]
    [InlineData("client_secret_basic private_key_jwt", true, "private_key_jwt")]
    [InlineData("tls_client_auth", false, "none")]
    public async Task It_asks_for_a_method_that_both_can_do(string? supported, bool hasKey, string method) =>
        Text(await AskAsync(new(), s_server with { TokenEndpointAuthMethods = supported?.Split(' ', StringSplitOptions.RemoveEmptyEntries) }, hasKey), "token_endpoint_auth_method").ShouldBe(method);

    [Fact]
    public async Task What_the_user_gives_goes_before_what_the_proxy_would_say()
    {
        var request = await AskAsync(new() { Scope = "a", RegistrationMetadata = """{"client_name":"ü \"mine\"","scope":"c","contacts":["x"],"redirect_uris":["http://localhost:1/cb"],"token_endpoint_auth_method":"client_secret_post"}""" });
        request.EnumerateObject().Select(member => member.Name).ShouldBeUnique();
        (Text(request, "client_name"), Text(request, "scope"), Text(request, "token_endpoint_auth_method")).ShouldBe(("ü \"mine\"", "c", "client_secret_post"));
        Strings(request, "contacts").ShouldBe(["x"]);
        Strings(request, "redirect_uris").ShouldBe(["http://localhost:1/cb"]);
        Text(request, "application_type").ShouldBe("native");
    }

    [Fact]
    public async Task Who_was_registered_is_taken_from_the_answer()
    {
        var client = await RegisterAsync("""{"client_id":"c","client_secret":"s","client_secret_expires_at":1000,"token_endpoint_auth_method":"client_secret_post","redirect_uris":["http://localhost:5/cb"]}""");
        (client.Id, client.Secret, client.AuthMethod, client.Issuer, client.IsRegistered, client.SecretExpiresAt?.ToUnixTimeSeconds()).ShouldBe(("c", "s", "client_secret_post", "https://as.test", true, 1000));
        client.RedirectUris.ShouldBe(["http://localhost:5/cb"]);
        client.ToString().ShouldBe("c");
    }

    [Theory]
    [InlineData("""{"client_id":"c"}""", null, "none")]
    [InlineData("""{"client_id":"c","client_secret":""}""", null, "none")]
    [InlineData("""{"client_id":"c","client_secret":"s"}""", "s", null)]
    [InlineData("""{"client_id":"c","client_secret":"s","client_secret_expires_at":0,"redirect_uris":[]}""", "s", null)]
    [InlineData("""{"client_id":"c","client_secret_expires_at":"soon","redirect_uris":"x","token_endpoint_auth_method":"none"}""", null, "none")]
    public async Task What_the_answer_leaves_out_is_as_it_was_asked_for(string json, string? secret, string? method)
    {
        var client = await RegisterAsync(json);
        (client.Secret, client.AuthMethod, client.SecretExpiresAt).ShouldBe((secret, method, null));
        client.RedirectUris.ShouldBe([RedirectUri]);
    }

    [Fact]
    public async Task An_end_beyond_all_calendars_does_no_harm() => (await RegisterAsync("""{"client_id":"c","client_secret":"s","client_secret_expires_at":1800000000000}""")).Secret.ShouldBe("s");

    [Theory]
    [InlineData(201, "{}", "Unusable", null)]
    [InlineData(201, """{"client_id":""}""", "Unusable", null)]
    [InlineData(201, """{"client_id":7}""", "Unusable", null)]
    [InlineData(200, "<html>", "Unusable", null)]
    [InlineData(400, """{"error":"invalid_redirect_uri","error_description":"no loopback"}""", "Unusable", "invalid_redirect_uri")]
    [InlineData(400, """{"error":"invalid_client_metadata","client_id":"c"}""", "Unusable", "invalid_client_metadata")]
    [InlineData(403, "", "Unusable", null)]
    [InlineData(429, "", "Temporary", null)]
    [InlineData(500, """{"error":"server_error"}""", "Temporary", "server_error")]
    [InlineData(503, "<html>", "Temporary", null)]
    public async Task A_refusal_is_told(int status, string body, string failure, string? code)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(body, status));
        var exception = await Should.ThrowAsync<OAuthException>(Registrar(http).RegisterAsync(s_server, RedirectUri, default));
        (exception.Failure.ToString(), exception.Code).ShouldBe((failure, code));
        exception.Message.ShouldContain(code ?? "https://as.test");
        http.Requests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Where_nobody_can_register_a_person_is_told_what_to_ask_for()
    {
        using var http = new FakeHttp(_ => FakeHttp.Json("{}"));
        var exception = await Should.ThrowAsync<OAuthException>(Registrar(http).RegisterAsync(new("https://as.test"), RedirectUri, default));
        exception.Failure.ShouldBe(OAuthFailure.Unusable);
        exception.Message.ShouldContain(RedirectUri);
        exception.Message.ShouldContain("--client-id");
        http.Requests.ShouldBeEmpty();
    }

    private static ClientRegistrar Registrar(FakeHttp http, OAuthOptions? options = null, bool hasKey = false) => new(http.Client(), options ?? new(), hasKey, NullLogger.Instance);

    private static async Task<OAuthClient> RegisterAsync(string json)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(json, 201));
        return await Registrar(http).RegisterAsync(s_server, RedirectUri, default);
    }

    private static async Task<JsonElement> AskAsync(OAuthOptions options, AuthorizationServer? server = null, bool hasKey = false, string? redirectUri = RedirectUri)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json("""{"client_id":"c"}""", 201));
        await Registrar(http, options, hasKey).RegisterAsync(server ?? s_server, redirectUri, default);
        var request = http.Requests.ShouldHaveSingleItem();
        (request.Method, request.Url.AbsoluteUri).ShouldBe(("POST", "https://as.test/register"));
        using var document = JsonDocument.Parse(request.Body);
        return document.RootElement.Clone();
    }

    private static string? Text(JsonElement request, string name) => request.GetProperty(name).GetString();

    private static IEnumerable<string?> Strings(JsonElement request, string name) => request.GetProperty(name).EnumerateArray().Select(item => item.GetString());
}
