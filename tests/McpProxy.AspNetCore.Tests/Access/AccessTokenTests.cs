using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using McpProxy.AspNetCore.Access;
using McpProxy.Tests;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>Which access tokens let in, and what is said to the others.</summary>
public sealed class AccessTokenTests : IAsyncLifetime
{
    private readonly ManualTime _time = new();
    private Issuer _issuer = null!;
    private GuardedServer _server = null!;

    public async ValueTask InitializeAsync()
    {
        _time.Advance(TimeSpan.FromDays(20_000));
        _issuer = await Issuer.StartAsync(_time);
        _server = await GuardedServer.StartAsync(Options(), time: _time);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await _issuer.DisposeAsync();
    }

    [Theory]
    [InlineData("RS256")]
    [InlineData("RS384")]
    [InlineData("RS512")]
    [InlineData("PS256")]
    [InlineData("PS512")]
    [InlineData("ES256")]
    public async Task A_token_of_the_issuer_lets_in(string algorithm)
    {
        await ShouldBeLetInAsync(_issuer.Token(algorithm));

        _server.LastPrincipal.ShouldBe($"Bearer\n{_issuer.Url}\nann");
    }

    [Theory]
    [InlineData("at+jwt")]
    [InlineData("AT+JWT")]
    [InlineData("application/at+jwt")]
    [InlineData("JWT")]
    [InlineData(null)]
    public async Task The_type_is_that_of_an_access_token_or_none(string? type) => await ShouldBeLetInAsync(_issuer.Token(header: header => Set(header, "typ", type)));

    public static TheoryData<string> GoodVariants => [.. s_good.Keys];

    [Theory]
    [MemberData(nameof(GoodVariants))]
    public async Task A_variant_is_good(string variant) => await ShouldBeLetInAsync(s_good[variant](_issuer));

    private static readonly Dictionary<string, Func<Issuer, string>> s_good = new(StringComparer.Ordinal)
    {
        ["audiences in a list"] = issuer => issuer.Token(claims: claims => claims["aud"] = new JsonArray("https://other.test", Issuer.Audience)),
        ["a slash at the end of the audience"] = issuer => issuer.Token(claims: claims => claims["aud"] = Issuer.Audience + "/"),
        ["no key id"] = issuer => issuer.Token(header: header => header.Remove("kid")),
        ["no key id, EC"] = issuer => issuer.Token("ES256", header: header => header.Remove("kid")),
        ["scopes in a list"] = issuer => issuer.Token(claims: claims => claims["scope"] = new JsonArray("other", "mcp:tools")),
        ["scopes as Entra writes them"] = issuer => issuer.Token(claims: claims => (claims["scp"], claims["scope"]) = ("other mcp:tools", null)),
        ["expired within the skew"] = issuer => issuer.Token(claims: claims => claims["exp"] = Number(claims, "iat") - 50),
        ["valid within the skew"] = issuer => issuer.Token(claims: claims => claims["nbf"] = Number(claims, "iat") + 50),
        ["good till the end of times"] = issuer => issuer.Token(claims: claims => claims["exp"] = 253402300799),
        ["expiry with a fraction"] = issuer => issuer.Token(claims: claims => claims["exp"] = Number(claims, "exp") + 0.5),
        ["P-384"] = issuer => WithKey(issuer, new("ec-384", ECDsa.Create(ECCurve.NamedCurves.nistP384)), "ES384"),
        ["P-521"] = issuer => WithKey(issuer, new("ec-521", ECDsa.Create(ECCurve.NamedCurves.nistP521)), "ES512"),
    };

    public static TheoryData<string> BadVariants => [.. s_bad.Keys];

    [Theory]
    [MemberData(nameof(BadVariants))]
    public async Task A_variant_is_refused(string variant)
    {
        var (make, reason) = s_bad[variant];
        var token = make(_issuer);

        for (var i = 0; i < 2; i++)
        {
            var answer = await _server.KnockAsync(token);

            ((int)answer.StatusCode).ShouldBe(401);
            answer.Headers.GetValues("WWW-Authenticate").Single().ShouldBe(
                $"Bearer resource_metadata=\"{_server.Url}.well-known/oauth-protected-resource/mcp\", scope=\"mcp:tools\", error=\"invalid_token\", error_description=\"{reason}\"");
            (await answer.TextAsync()).ShouldContain($"Unauthorized: {reason}");
        }

        _server.LastPrincipal.ShouldBeNull();
        _server.Log.Warnings.ShouldAllBe(line => line == $"Turned 127.0.0.1 away (access token): {reason}");
        _server.Log.Warnings.Count.ShouldBe(2);
    }

    private const string NotSigned = "it is not signed, or with an algorithm that is not taken";
    private const string NotInTime = "it has expired, or is not valid yet";
    private const string OtherAudience = "it is meant for another audience";
    private const string OtherIssuer = "its issuer is none whose tokens are taken";
    private const string OtherSignature = "the signature is not the issuer's";
    private const string OtherKind = "it is no access token but another kind of JWT";
    private const string Unknown = "it is neither a key nor an access token that this server knows";

    private static readonly Dictionary<string, (Func<Issuer, string> Make, string Reason)> s_bad = new(StringComparer.Ordinal)
    {
        ["expired"] = (issuer => issuer.Token(claims: claims => claims["exp"] = Number(claims, "iat") - 61), NotInTime),
        ["not valid yet"] = (issuer => issuer.Token(claims: claims => claims["nbf"] = Number(claims, "iat") + 61), NotInTime),
        ["never expires"] = (issuer => issuer.Token(claims: claims => claims.Remove("exp")), "it never expires"),
        ["another audience"] = (issuer => issuer.Token(claims: claims => claims["aud"] = "https://other.test/mcp"), OtherAudience),
        ["an audience that only begins like ours"] = (issuer => issuer.Token(claims: claims => claims["aud"] = Issuer.Audience + "x"), OtherAudience),
        ["no audience"] = (issuer => issuer.Token(claims: claims => claims.Remove("aud")), OtherAudience),
        ["another issuer"] = (issuer => issuer.Token(claims: claims => claims["iss"] = "https://other.test"), OtherIssuer),
        ["the issuer with a slash"] = (issuer => issuer.Token(claims: claims => claims["iss"] = issuer.Url + "/"), OtherIssuer),
        ["no issuer"] = (issuer => issuer.Token(claims: claims => claims.Remove("iss")), OtherIssuer),
        ["alg none"] = (issuer => issuer.Token("none", issuer.Keys[0]), NotSigned),
        ["alg None"] = (issuer => issuer.Token("none", issuer.Keys[0], header: header => header["alg"] = "None"), NotSigned),
        ["signature left out"] = (issuer => issuer.Token() is var token ? token[..(token.LastIndexOf('.') + 1)] : "", OtherSignature),
        ["HS256 with the public key"] = (issuer => Symmetric(issuer, ((RSA)issuer.Keys[0].Key).ExportSubjectPublicKeyInfoPem()), NotSigned),
        ["HS256 with the key as published"] = (issuer => Symmetric(issuer, issuer.Keys[0].Public().ToJsonString()), NotSigned),
        ["an algorithm of another family"] = (issuer => issuer.Token("RS256", issuer.Keys[0], header: header => header["kid"] = "ec"), "the issuer has no such key"),
        ["another's key under our key's id"] = (issuer => issuer.Token(key: new("rsa", RSA.Create(2048))), OtherSignature),
        ["another's key without an id"] = (issuer => issuer.Token(key: new("rsa", RSA.Create(2048)), header: header => header.Remove("kid")), OtherSignature),
        ["an unknown key"] = (issuer => issuer.Token(key: new("rsa-unknown", RSA.Create(2048))), "the issuer has no such key"),
        ["changed after it was signed"] = (issuer => Tampered(issuer.Token()), OtherSignature),
        ["a proof of possession"] = (issuer => issuer.Token(header: header => header["typ"] = "dpop+jwt"), OtherKind),
        ["a logout token"] = (issuer => issuer.Token(header: header => header["typ"] = "logout+jwt"), OtherKind),
        ["extensions"] = (issuer => issuer.Token(header: header => (header["crit"], header["exp"]) = (new JsonArray("exp"), 1)), "it has extensions that this server does not know"),
        ["bound to a key"] = (issuer => issuer.Token(claims: claims => claims["cnf"] = new JsonObject { ["jkt"] = "x" }), "it is bound to a key of the client, and such proofs are not taken"),
        ["nobody's"] = (issuer => issuer.Token(claims: claims => Drop(claims, "sub", "client_id")), "it names neither a subject nor a client"),
        ["a key for encryption"] = (issuer => WithKey(issuer, new("rsa-enc", RSA.Create(2048)) { Members = new() { ["use"] = "enc" } }, "RS256"), "the issuer has no such key"),
        ["a key of another algorithm"] = (issuer => WithKey(issuer, new("rsa-ps", RSA.Create(2048)) { Members = new() { ["alg"] = "PS256" } }, "RS256"), "the issuer has no such key"),
        ["encrypted"] = (_ => "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AAAA.AAAA.AAAA.AAAA", "encrypted tokens are not taken"),
        ["a word"] = (_ => "opaque-token", Unknown),
        ["dots"] = (_ => "..", Unknown),
        ["three words"] = (_ => "a.b.c", Unknown),
        ["too long"] = (issuer => issuer.Token(claims: claims => claims["x"] = new string('x', 13_000)), Unknown),
    };

    [Theory]
    [InlineData("exp", "\"soon\"")]
    [InlineData("exp", "-1")]
    [InlineData("exp", "1e400")]
    [InlineData("exp", "99999999999999999999")]
    [InlineData("exp", "{}")]
    [InlineData("exp", "null")]
    [InlineData("nbf", "\"x\"")]
    [InlineData("nbf", "1e300")]
    [InlineData("nbf", "99999999999999")]
    [InlineData("aud", "5")]
    [InlineData("aud", "{}")]
    [InlineData("aud", "[[1]]")]
    [InlineData("iss", "[]")]
    [InlineData("iss", "null")]
    [InlineData("iss", "\"\\ud800\"")]
    [InlineData("sub", "{\"a\":1}")]
    [InlineData("sub", "\"\\ud800\"")]
    [InlineData("scope", "5")]
    [InlineData("scope", "{}")]
    [InlineData("client_id", "[]")]
    public async Task Nonsense_is_refused_and_nothing_breaks(string claim, string value)
    {
        var now = _time.GetUtcNow().ToUnixTimeSeconds();
        var members = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["iss"] = $"\"{_issuer.Url}\"",
            ["sub"] = "\"ann\"",
            ["aud"] = $"\"{Issuer.Audience}\"",
            ["exp"] = $"{now + 600}",
            ["scope"] = "\"mcp:tools\"",
            ["client_id"] = "\"app\"",
        };
        members[claim] = value;
        var token = Issuer.Signed("""{"alg":"RS256","kid":"rsa"}""", $"{{{string.Join(',', members.Select(member => $"\"{member.Key}\":{member.Value}"))}}}", "RS256", _issuer.Keys[0]);

        ((int)(await _server.KnockAsync(token)).StatusCode).ShouldBeOneOf(claim is "client_id" or "exp" or "sub" ? [200, 401] : [401, 403]);
        _server.Log.All.ShouldAllBe(line => !line.Contains("Defect"));
    }

    [Theory]
    [InlineData("""{"alg":5,"kid":"rsa"}""")]
    [InlineData("""{"alg":null,"kid":"rsa"}""")]
    [InlineData("""{"kid":"rsa"}""")]
    [InlineData("""{"alg":"RS256","kid":5}""")]
    [InlineData("""{"alg":"RS256","kid":"rsa","typ":5}""")]
    [InlineData("""{"alg":"RS256","kid":"rsa","typ":{}}""")]
    [InlineData("""["alg"]""")]
    [InlineData("""5""")]
    [InlineData("""null""")]
    public async Task A_nonsensical_header_is_refused_and_nothing_breaks(string header)
    {
        var token = Issuer.Signed(header, $$"""{"iss":"{{_issuer.Url}}","sub":"a","aud":"{{Issuer.Audience}}","exp":{{_time.GetUtcNow().ToUnixTimeSeconds() + 60}}}""", "RS256", _issuer.Keys[0]);

        ((int)(await _server.KnockAsync(token)).StatusCode).ShouldBeOneOf(401, 403);
        _server.Log.All.ShouldAllBe(line => !line.Contains("Defect"));
    }

    [Fact]
    public async Task Too_little_scope_is_said()
    {
        var answer = await _server.KnockAsync(_issuer.Token(claims: claims => claims["scope"] = "mcp:tool other"));

        ((int)answer.StatusCode).ShouldBe(403);
        answer.Headers.GetValues("WWW-Authenticate").ShouldBe(
            [$"Bearer resource_metadata=\"{_server.Url}.well-known/oauth-protected-resource/mcp\", scope=\"mcp:tools\", error=\"insufficient_scope\", error_description=\"the access token lacks a scope; needed: mcp:tools\""]);
    }

    [Fact]
    public async Task Without_a_token_the_way_to_one_is_told()
    {
        var answer = await _server.KnockAsync();

        ((int)answer.StatusCode).ShouldBe(401);
        answer.Headers.GetValues("WWW-Authenticate").ShouldBe([$"Bearer resource_metadata=\"{_server.Url}.well-known/oauth-protected-resource/mcp\", scope=\"mcp:tools\""]);
        _issuer.KeyRequests.ShouldBe(0);
    }

    [Fact]
    public async Task A_client_without_a_user_is_known_by_its_own_name()
    {
        await ShouldBeLetInAsync(_issuer.Token(claims: claims => claims.Remove("sub")));
        _server.LastPrincipal.ShouldBe($"Bearer\n{_issuer.Url}\napp");

        await ShouldBeLetInAsync(_issuer.Token(claims: claims =>
        {
            Drop(claims, "sub", "client_id");
            claims["azp"] = "party";
        }));
        _server.LastPrincipal.ShouldBe($"Bearer\n{_issuer.Url}\nparty");
    }

    [Fact]
    public async Task A_token_is_good_no_longer_than_it_says_though_it_was_seen_before()
    {
        var token = _issuer.Token(claims: claims => claims["exp"] = Number(claims, "iat") + 30);
        await ShouldBeLetInAsync(token);

        _time.Advance(TimeSpan.FromSeconds(30 + 61));

        ((int)(await _server.KnockAsync(token)).StatusCode).ShouldBe(401);
    }

    [Fact]
    public async Task A_key_is_as_good_as_a_token()
    {
        await using var server = await GuardedServer.StartAsync(
            new() { Jwt = Options().Jwt, ApiKeys = [ApiKey.Of("the-key")] }, time: _time);

        ((int)(await server.KnockAsync("the-key")).StatusCode).ShouldBe(200);
        ((int)(await server.KnockAsync(_issuer.Token())).StatusCode).ShouldBe(200);
        ((int)(await server.KnockAsync(("X-API-Key", _issuer.Token()))).StatusCode).ShouldBe(401);
        (await server.KnockAsync(_issuer.Token("none", _issuer.Keys[0]))).Headers.GetValues("WWW-Authenticate").Single().ShouldContain(NotSigned);
    }

    [Fact]
    public async Task Two_users_of_two_issuers_are_two_though_their_names_are_the_same()
    {
        await using var other = await Issuer.StartAsync(_time, "/tenant");
        await using var server = await GuardedServer.StartAsync(new() { Jwt = new() { Issuers = [_issuer.Url, other.Url], Audiences = [Issuer.Audience] } }, time: _time);

        await server.KnockAsync(_issuer.Token());
        var first = server.LastPrincipal;
        await server.KnockAsync(other.Token());

        server.LastPrincipal.ShouldNotBeNull();
        server.LastPrincipal.ShouldNotBe(first);
        ((int)(await server.KnockAsync(other.Token(claims: claims => claims["iss"] = _issuer.Url))).StatusCode).ShouldBe(401, "an issuer signs for itself alone");
    }

    [Theory]
    [InlineData("http://as.example")]
    [InlineData("https://as.example?x=1")]
    [InlineData("https://as.example/#x")]
    [InlineData("ftp://as.example")]
    [InlineData("as.example")]
    public void An_issuer_is_a_URL_that_can_be_trusted(string issuer) =>
        Should.Throw<ArgumentException>(() => new InboundAuthentication(new() { Jwt = new() { Issuers = [issuer], Audiences = ["x"] } }, new()));

    private InboundAuthenticationOptions Options() => new() { Jwt = new() { Issuers = [_issuer.Url], Audiences = [Issuer.Audience, "urn:other-name"], RequiredScopes = ["mcp:tools"] } };

    private async Task ShouldBeLetInAsync(string token)
    {
        var answer = await _server.KnockAsync(token);
        ((int)answer.StatusCode).ShouldBe(200, await answer.TextAsync());
    }

    private static void Set(JsonObject members, string name, string? value)
    {
        members.Remove(name);
        if (value is not null)
        {
            members[name] = value;
        }
    }

    private static void Drop(JsonObject members, params string[] names) => Array.ForEach(names, name => members.Remove(name));

    private static long Number(JsonObject members, string name) => members[name]!.GetValue<long>();

    private static string WithKey(Issuer issuer, SigningKey key, string algorithm)
    {
        issuer.Keys.Add(key);
        return issuer.Token(algorithm, key);
    }

    private static string Symmetric(Issuer issuer, string secret) => issuer.Token("HS256", issuer.Keys[0] with { Secret = Encoding.UTF8.GetBytes(secret) });

    private static string Tampered(string token)
    {
        var parts = token.Split('.');
        var claims = Encoding.UTF8.GetString(System.Buffers.Text.Base64Url.DecodeFromChars(parts[1])).Replace("ann", "eve", StringComparison.Ordinal);
        return $"{parts[0]}.{System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes(claims))}.{parts[2]}";
    }
}
