using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using McpProxy.Auth;
using McpProxy.Auth.Clients;
using McpProxy.Auth.Grants;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Grants;

/// <summary>RFC 9449 sections 4.2 and 8.</summary>
public sealed class DpopKeyTests : IDisposable
{
    private readonly DpopKey _key = new(JwtSigner.Create());

    public void Dispose() => _key.Dispose();

    [Fact]
    public void A_proof_is_verified_by_the_key_in_it()
    {
        var proof = Proof("https://mcp.test/mcp");
        proof.Header.GetProperty("typ").GetString().ShouldBe("dpop+jwt");
        proof.Header.GetProperty("alg").GetString().ShouldBe("ES256");
        var jwk = proof.Header.GetProperty("jwk");
        jwk.EnumerateObject().Select(member => member.Name).ShouldBe(["crv", "kty", "x", "y"]);
        using var key = PublicKey(jwk);
        proof.IsSignedBy(key).ShouldBeTrue();
        new Jwt(_key.Proof("GET", new("https://mcp.test"), null, default)).IsSignedBy(key).ShouldBeTrue();
    }

    [Fact]
    public void A_proof_says_what_it_is_for()
    {
        var proof = Proof("https://mcp.test/mcp", "token");
        proof.Payload.EnumerateObject().Select(member => member.Name).ShouldBe(["jti", "htm", "htu", "iat", "ath"], ignoreOrder: true);
        proof.Claim("htm").ShouldBe("POST");
        proof.Claim("iat").ShouldBe("1000");
        proof.Claim("ath").ShouldBe(Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes("token"))));
        Proof("https://mcp.test/mcp").Claim("ath").ShouldBeNull();
        Proof("https://mcp.test/mcp", "token").Claim("jti").ShouldNotBe(proof.Claim("jti"));
    }

    [Theory]
    [InlineData("https://mcp.test/mcp?key=secret#part", "https://mcp.test/mcp")]
    [InlineData("HTTPS://MCP.test:443", "https://mcp.test/")]
    [InlineData("http://localhost:8080/a%20b/", "http://localhost:8080/a%20b/")]
    public void A_proof_names_the_url_without_its_query(string url, string htu) => Proof(url).Claim("htu").ShouldBe(htu);

    [Fact]
    public void A_nonce_is_for_the_origin_that_gave_it()
    {
        _key.KeepNonce(new("https://as.test/token"), "one");
        _key.KeepNonce(new("https://mcp.test/mcp?x"), "two");
        Proof("https://as.test/other?x=y").Claim("nonce").ShouldBe("one");
        Proof("https://MCP.test").Claim("nonce").ShouldBe("two");
        Proof("https://mcp.test:8443").Claim("nonce").ShouldBeNull();
        Proof("http://mcp.test").Claim("nonce").ShouldBeNull();
        _key.KeepNonce(new("https://as.test"), "three");
        Proof("https://as.test/token").Claim("nonce").ShouldBe("three");
    }

    [Fact]
    public void A_key_from_the_store_is_the_same_key()
    {
        using var stored = new DpopKey(JwtSigner.Import(_key.Export()));
        var jwk = Proof("https://mcp.test").Header.GetProperty("jwk");
        new Jwt(stored.Proof("GET", new("https://mcp.test"), null, default)).Header.GetProperty("jwk").ToString().ShouldBe(jwk.ToString());
        using var other = new DpopKey(JwtSigner.Create());
        new Jwt(other.Proof("GET", new("https://mcp.test"), null, default)).Header.GetProperty("jwk").ToString().ShouldNotBe(jwk.ToString());
    }

    [Fact]
    public void Requests_carry_token_and_proof_and_learn_the_nonce()
    {
        var credential = new AccessCredential(new("token") { IsDpop = true }, "https://as.test", null, _key, new ManualTime());
        using var request = new HttpRequestMessage(HttpMethod.Delete, "https://mcp.test/mcp?x=y");
        credential.Apply(request);
        request.Headers.Authorization!.ToString().ShouldBe("DPoP token");
        var proof = new Jwt(request.Headers.GetValues("DPoP").ShouldHaveSingleItem());
        (proof.Claim("htm"), proof.Claim("htu"), proof.Claim("nonce")).ShouldBe(("DELETE", "https://mcp.test/mcp", null));
        proof.Claim("ath").ShouldNotBeNull();

        using var response = new HttpResponseMessage { RequestMessage = request, Headers = { { "DPoP-Nonce", "n" } } };
        credential.Observe(response);
        Proof("https://mcp.test").Claim("nonce").ShouldBe("n");

        using var plain = new HttpRequestMessage(HttpMethod.Get, "https://mcp.test/mcp");
        new AccessCredential(new("token"), "https://as.test", null, _key, new ManualTime()).Apply(plain);
        plain.Headers.Authorization!.ToString().ShouldBe("Bearer token");
        plain.Headers.Contains("DPoP").ShouldBeFalse();
    }

    private static ECDsa PublicKey(JsonElement jwk) => ECDsa.Create(new ECParameters
    {
        Curve = ECCurve.NamedCurves.nistP256,
        Q = new() { X = Base64Url.DecodeFromChars(jwk.GetProperty("x").GetString()), Y = Base64Url.DecodeFromChars(jwk.GetProperty("y").GetString()) },
    });

    private Jwt Proof(string url, string? token = null) => new(_key.Proof("POST", new(url), token, DateTimeOffset.UnixEpoch.AddSeconds(1000)));
}
