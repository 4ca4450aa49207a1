using System.Net;
using System.Security.Cryptography;
using McpProxy.Auth;
using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.Grants;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Grants;

public sealed class TokenEndpointTests
{
    private const string Granted = """{"access_token":"at","token_type":"Bearer"}""";
    private static readonly AuthorizationServer s_server = new("https://as.test/tenant") { TokenEndpoint = new("https://as.test/token?x=y") };
    private static readonly OAuthClient s_client = new("a b:c") { Secret = "p&ü%+/" };

    private readonly ManualTime _time = new();

    public TokenEndpointTests() => _time.Advance(TimeSpan.FromSeconds(1000));

    [Fact]
    public async Task Id_and_secret_are_encoded_before_they_are_joined()
    {
        var request = await AskAsync(s_client);
        (request.Method, request.Url).ShouldBe(("POST", s_server.TokenEndpoint!));
        request.Header("Authorization").ShouldBe($"Basic {Convert.ToBase64String("a+b%3Ac:p%26%C3%BC%25%2B%2F"u8)}");
        request.Form.ShouldBe(new Dictionary<string, string> { ["grant_type"] = "test" });
        request.Header("DPoP").ShouldBeNull();
    }

    [Fact]
    public async Task A_secret_can_be_sent_in_the_form()
    {
        var request = await AskAsync(s_client with { AuthMethod = "client_secret_post" });
        request.Header("Authorization").ShouldBeNull();
        request.Form.ShouldBe(new Dictionary<string, string> { ["grant_type"] = "test", ["client_id"] = "a b:c", ["client_secret"] = "p&ü%+/" }, ignoreOrder: true);
    }

    [Fact]
    public async Task A_public_client_sends_its_id_alone()
    {
        var request = await AskAsync(s_client with { AuthMethod = "none" });
        request.Header("Authorization").ShouldBeNull();
        request.Form.ShouldBe(new Dictionary<string, string> { ["grant_type"] = "test", ["client_id"] = "a b:c" }, ignoreOrder: true);
        (await AskAsync(new OAuthClient(""))).Form.Keys.ShouldBe(["grant_type"]);
    }

    [Theory]
    [InlineData(true, false, null, null, "client_secret_basic")]
    [InlineData(true, false, null, "", "client_secret_basic")]
    [InlineData(true, false, null, "client_secret_post", "client_secret_post")]
    [InlineData(true, false, null, "client_secret_post client_secret_basic", "client_secret_basic")]
    [InlineData(true, false, null, "tls_client_auth", "client_secret_basic")]
    [InlineData(true, true, null, "private_key_jwt client_secret_post", "client_secret_post")]
    [InlineData(true, false, "client_secret_post", "client_secret_basic", "client_secret_post")]
    [InlineData(false, true, null, null, "private_key_jwt")]
    [InlineData(false, true, null, "private_key_jwt none", "private_key_jwt")]
    [InlineData(false, false, null, "client_secret_basic", "none")]
    public void The_method_is_the_one_agreed_on_or_one_that_both_can_do(bool hasSecret, bool hasKey, string? agreed, string? supported, string method)
    {
        using var key = JwtSigner.Create();
        var server = s_server with { TokenEndpointAuthMethods = supported?.Split(' ', StringSplitOptions.RemoveEmptyEntries) };
        new ClientAuthentication(hasKey ? key : null, null, _time).MethodFor(new("c") { Secret = hasSecret ? "s" : null, AuthMethod = agreed }, server).ShouldBe(method);
    }

    [Theory]
    [InlineData("tls_client_auth")]
    [InlineData("private_key_jwt")]
    public async Task A_method_that_the_client_cannot_do_sends_nothing(string method)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(Granted));
        (await FailsAsync(http, new OAuthClient("c") { Secret = "s", AuthMethod = method })).Failure.ShouldBe(OAuthFailure.Unusable);
        http.Requests.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("P-256", null, "ES256")]
    [InlineData("P-384", null, "ES384")]
    [InlineData("P-521", "RS256 ES512", "ES512")]
    [InlineData("RSA", null, "RS256")]
    [InlineData("RSA", "ES256 PS256", "PS256")]
    [InlineData("RSA", "RS512 PS256", "RS512")]
    [InlineData("RSA", "PS384 RS256", "RS256")]
    public async Task A_key_signs_an_assertion_for_the_issuer(string kind, string? supported, string algorithm)
    {
        using var ec = ECDsa.Create(kind switch { "P-384" => ECCurve.NamedCurves.nistP384, "P-521" => ECCurve.NamedCurves.nistP521, _ => ECCurve.NamedCurves.nistP256 });
        using var rsa = RSA.Create(2048);
        using var signer = JwtSigner.FromPem(kind == "RSA" ? rsa.ExportRSAPrivateKeyPem() : ec.ExportECPrivateKeyPem());
        var server = s_server with { TokenEndpointAuthAlgorithms = supported?.Split(' ') };
        var request = await AskAsync(new OAuthClient("me"), server, signer, "key 1");
        request.Header("Authorization").ShouldBeNull();
        request.Form["client_id"].ShouldBe("me");
        request.Form["client_assertion_type"].ShouldBe("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        var jwt = new Jwt(request.Form["client_assertion"]);
        (kind == "RSA" ? jwt.IsSignedBy(rsa) : jwt.IsSignedBy(ec)).ShouldBeTrue();
        jwt.Header.ToString().ShouldBe($$"""{"alg":"{{algorithm}}","typ":"JWT","kid":"key 1"}""");
        (jwt.Claim("iss"), jwt.Claim("sub"), jwt.Claim("aud"), jwt.Claim("iat")).ShouldBe(("me", "me", "https://as.test/tenant", "1000"));
        jwt.Payload.GetProperty("exp").GetInt64().ShouldBeInRange(1001, 1600);
        new Jwt((await AskAsync(new OAuthClient("me"), server, signer)).Form["client_assertion"]).Claim("jti").ShouldNotBe(jwt.Claim("jti").ShouldNotBeNull());
    }

    [Fact]
    public async Task A_key_that_the_server_cannot_verify_sends_nothing()
    {
        using var signer = JwtSigner.Create();
        using var http = new FakeHttp(_ => FakeHttp.Json(Granted));
        var server = s_server with { TokenEndpointAuthAlgorithms = ["RS256", "ES384"] };
        (await FailsAsync(http, new OAuthClient("c"), server, signer)).Message.ShouldContain("ES384");
        http.Requests.ShouldBeEmpty();
    }

    [Fact]
    public void What_is_no_private_key_is_refused_at_once()
    {
        using var ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var rsa = RSA.Create(2048);
        JwtSigner.FromPem(ec.ExportPkcs8PrivateKeyPem()).Dispose();
        JwtSigner.FromPem(rsa.ExportPkcs8PrivateKeyPem()).Dispose();
        var password = new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000);
        List<string> bad = ["", "secret", ec.ExportEncryptedPkcs8PrivateKeyPem("p", password), rsa.ExportSubjectPublicKeyInfoPem(), ec.ExportSubjectPublicKeyInfoPem()];
        if (!OperatingSystem.IsMacOS())
        {
            using var odd = ECDsa.Create(ECCurve.CreateFromFriendlyName("secp256k1"));
            bad.Add(odd.ExportECPrivateKeyPem());
        }

        foreach (var pem in bad)
        {
            Should.Throw<CryptographicException>(() => JwtSigner.FromPem(pem).Dispose(), pem).Message.ShouldNotContain("secret");
        }
    }

    [Theory]
    [InlineData("Bearer", false, false)]
    [InlineData("bearer", true, false)]
    [InlineData(null, false, false)]
    [InlineData("dpop", true, true)]
    [InlineData("DPoP", true, true)]
    public async Task The_type_says_how_the_token_is_used(string? type, bool hasKey, bool isDpop)
    {
        using var key = hasKey ? new DpopKey(JwtSigner.Create()) : null;
        (await GrantAsync($$"""{"access_token":"at"{{(type is null ? "" : $",\"token_type\":\"{type}\"")}}}""", key)).IsDpop.ShouldBe(isDpop);
    }

    [Theory]
    [InlineData("""{"access_token":"at","token_type":"DPoP"}""")]
    [InlineData("""{"access_token":"at","token_type":"mac"}""")]
    [InlineData("""{"access_token":"at","token_type":""}""")]
    [InlineData("""{"access_token":"","token_type":"Bearer"}""")]
    [InlineData("""{"access_token":7,"token_type":"Bearer"}""")]
    [InlineData("""{"token_type":"Bearer"}""")]
    [InlineData("""{"access_token":"at\r\nX-Evil: 1","token_type":"Bearer"}""")]
    [InlineData("""{"access_token":"a t","token_type":"Bearer"}""")]
    [InlineData("""{"access_token":"ät","token_type":"Bearer"}""")]
    public async Task A_token_that_cannot_be_used_is_none(string json)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(json));
        (await FailsAsync(http)).Failure.ShouldBe(OAuthFailure.Unusable);
    }

    [Theory]
    [InlineData("3600", 4600L)]
    [InlineData("\"3600\"", 4600L)]
    [InlineData("59.9", 1059L)]
    [InlineData("0", null)]
    [InlineData("-10", null)]
    [InlineData("\"9223372036854775807\"", 1000L + int.MaxValue)]
    [InlineData("null", null)]
    [InlineData("\"soon\"", null)]
    public async Task The_end_is_counted_from_now(string expiresIn, long? end)
    {
        var tokens = await GrantAsync($$"""{"access_token":"at","expires_in":{{expiresIn}}}""");
        tokens.ObtainedAt.ToUnixTimeSeconds().ShouldBe(1000);
        (tokens.ExpiresAt?.ToUnixTimeSeconds()).ShouldBe(end);
    }

    [Fact]
    public async Task What_was_granted_is_kept()
    {
        var tokens = await GrantAsync("""{"access_token":"at","refresh_token":"rt","scope":"c b"}""");
        (tokens.AccessToken, tokens.RefreshToken, tokens.ClientId, tokens.Scope.ToString()).ShouldBe(("at", "rt", "c", "a b c"));
        (await GrantAsync("""{"access_token":"at","refresh_token":""}""")).RefreshToken.ShouldBeNull();
        (await GrantAsync("""{"access_token":"at"}""")).Scope.ToString().ShouldBe("a b");
    }

    [Theory]
    [InlineData(400, """{"error":"invalid_grant"}""", nameof(OAuthFailure.InvalidGrant))]
    [InlineData(401, """{"error":"invalid_grant"}""", nameof(OAuthFailure.InvalidGrant))]
    [InlineData(200, """{"error":"invalid_grant","access_token":"at"}""", nameof(OAuthFailure.InvalidGrant))]
    [InlineData(400, """{"error":"invalid_client"}""", nameof(OAuthFailure.InvalidClient))]
    [InlineData(401, """{"error":"invalid_client"}""", nameof(OAuthFailure.InvalidClient))]
    [InlineData(401, "", nameof(OAuthFailure.Temporary))]
    [InlineData(401, "<html>", nameof(OAuthFailure.Temporary))]
    [InlineData(400, "", nameof(OAuthFailure.Temporary))]
    [InlineData(400, """{"error":"invalid_target"}""", nameof(OAuthFailure.Unusable))]
    [InlineData(200, """{"error":"odd"}""", nameof(OAuthFailure.Unusable))]
    [InlineData(404, "", nameof(OAuthFailure.Temporary))]
    [InlineData(400, """{"error":"temporarily_unavailable"}""", nameof(OAuthFailure.Temporary))]
    [InlineData(400, """{"error":"authorization_pending"}""", nameof(OAuthFailure.Temporary))]
    [InlineData(400, """{"error":"slow_down"}""", nameof(OAuthFailure.Temporary))]
    [InlineData(500, "", nameof(OAuthFailure.Temporary))]
    [InlineData(500, """{"error":"odd"}""", nameof(OAuthFailure.Temporary))]
    [InlineData(503, "<html>", nameof(OAuthFailure.Temporary))]
    [InlineData(429, "", nameof(OAuthFailure.Temporary))]
    [InlineData(429, """{"error":"too_many_requests"}""", nameof(OAuthFailure.Temporary))]
    [InlineData(408, """{"error":"request_timeout"}""", nameof(OAuthFailure.Temporary))]
    [InlineData(200, "<html>", nameof(OAuthFailure.Temporary))]
    [InlineData(200, "", nameof(OAuthFailure.Temporary))]
    public async Task A_refusal_says_what_it_leaves_useful(int status, string body, string failure)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(body, status));
        var exception = await FailsAsync(http);
        exception.Failure.ShouldBe(Enum.Parse<OAuthFailure>(failure));
        exception.Code.ShouldBe(body.StartsWith("{\"error\":\"", StringComparison.Ordinal) ? body.Split('"')[3] : null);
        exception.Message.ShouldContain("https://as.test");
        exception.Message.ShouldNotContain("x=y");
        http.Requests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_server_that_cannot_be_reached_is_one_for_later()
    {
        using var http = new FakeHttp(_ => throw new HttpRequestException("outer", new IOException("refused")));
        var exception = await FailsAsync(http);
        exception.Failure.ShouldBe(OAuthFailure.Temporary);
        exception.Message.ShouldContain("refused");
    }

    [Fact]
    public async Task Credentials_follow_no_redirect_and_go_over_https_alone()
    {
        using var http = new FakeHttp(_ => FakeHttp.Redirect("/elsewhere"));
        (await FailsAsync(http)).Failure.ShouldBe(OAuthFailure.Unusable);
        http.Requests.Count.ShouldBe(1);
        (await FailsAsync(http, server: s_server with { TokenEndpoint = new("http://as.test/token") })).Failure.ShouldBe(OAuthFailure.Unusable);
        (await FailsAsync(http, server: s_server with { TokenEndpoint = null })).Failure.ShouldBe(OAuthFailure.Unusable);
        http.Requests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_nonce_that_the_server_wants_is_sent_with_a_new_proof_and_kept()
    {
        using var key = new DpopKey(JwtSigner.Create());
        using var signer = JwtSigner.Create();
        using var http = new FakeHttp(request => new Jwt(request.Header("DPoP")!).Claim("nonce") == "n" ? FakeHttp.Json(Granted) : WantsNonce("n"));
        await RequestAsync(http, new OAuthClient("c"), s_server, signer, key);
        await RequestAsync(http, new OAuthClient("c"), s_server, signer, key);
        var proofs = http.Requests.Select(request => new Jwt(request.Header("DPoP")!)).ToList();
        proofs.Select(proof => proof.Claim("nonce")).ShouldBe([null, "n", "n"]);
        proofs.Select(proof => proof.Claim("htu")).Distinct().ShouldBe(["https://as.test/token"]);
        proofs.Select(proof => proof.Claim("ath")).Distinct().ShouldBe([null]);
        proofs.Select(proof => proof.Claim("jti")).Distinct().Count().ShouldBe(3);
        http.Requests.Select(request => new Jwt(request.Form["client_assertion"]).Claim("jti")).Distinct().Count().ShouldBe(3);
    }

    [Theory]
    [InlineData(true, true, 2)]
    [InlineData(true, false, 1)]
    [InlineData(false, true, 1)]
    public async Task A_nonce_is_tried_once(bool hasKey, bool hasNonce, int requests)
    {
        using var key = hasKey ? new DpopKey(JwtSigner.Create()) : null;
        using var http = new FakeHttp(_ => WantsNonce(hasNonce ? Guid.NewGuid().ToString() : null));
        var exception = await Should.ThrowAsync<OAuthException>(RequestAsync(http, s_client, s_server, dpop: key));
        exception.Code.ShouldBe("use_dpop_nonce");
        http.Requests.Count.ShouldBe(requests);
    }

    [Fact]
    public async Task A_token_is_taken_back_with_the_clients_credentials()
    {
        using var http = new FakeHttp(request => FakeHttp.Status(request.Form["token"] == "bad" ? 503 : 200));
        var endpoint = new TokenEndpoint(http.Client(time: _time), new(null, null, _time));
        var server = s_server with { RevocationEndpoint = new("https://as.test/revoke") };
        await endpoint.RevokeAsync(server, s_client, "rt", "refresh_token", CancellationToken.None);
        var request = http.Requests.ShouldHaveSingleItem();
        request.Url.AbsolutePath.ShouldBe("/revoke");
        request.Header("Authorization").ShouldNotBeNull().ShouldStartWith("Basic ");
        request.Form.ShouldBe(new Dictionary<string, string> { ["token"] = "rt", ["token_type_hint"] = "refresh_token" }, ignoreOrder: true);
        (await Should.ThrowAsync<OAuthException>(endpoint.RevokeAsync(server, s_client, "bad", "access_token", CancellationToken.None))).Failure.ShouldBe(OAuthFailure.Temporary);
    }

    private static HttpResponseMessage WantsNonce(string? nonce)
    {
        var response = FakeHttp.Json("""{"error":"use_dpop_nonce"}""", (int)HttpStatusCode.BadRequest);
        if (nonce is not null)
        {
            response.Headers.Add("DPoP-Nonce", nonce);
        }

        return response;
    }

    private async Task<FakeHttp.Request> AskAsync(OAuthClient client, AuthorizationServer? server = null, JwtSigner? key = null, string? keyId = null)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(Granted));
        await RequestAsync(http, client, server ?? s_server, key, keyId: keyId);
        return http.Requests.ShouldHaveSingleItem();
    }

    private async Task<TokenSet> GrantAsync(string json, DpopKey? dpop = null)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(json));
        return await RequestAsync(http, new OAuthClient("c"), s_server, dpop: dpop);
    }

    private async Task<OAuthException> FailsAsync(FakeHttp http, OAuthClient? client = null, AuthorizationServer? server = null, JwtSigner? key = null) =>
        await Should.ThrowAsync<OAuthException>(RequestAsync(http, client ?? s_client, server ?? s_server, key));

    private Task<TokenSet> RequestAsync(FakeHttp http, OAuthClient client, AuthorizationServer server, JwtSigner? key = null, DpopKey? dpop = null, string? keyId = null) =>
        new TokenEndpoint(http.Client(time: _time), new(key, keyId, _time)).RequestAsync(server, client, [new("grant_type", "test")], ScopeSet.Parse("a b"), dpop, CancellationToken.None);
}
