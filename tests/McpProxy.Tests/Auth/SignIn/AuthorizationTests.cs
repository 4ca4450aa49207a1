using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using McpProxy.Auth;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.SignIn;
using McpProxy.Auth.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.SignIn;

/// <summary>The request that the browser takes to the authorization server, and the response that it brings back.</summary>
public sealed class AuthorizationTests
{
    private const string Issuer = "https://as.test/t";
    private const string RedirectUri = "http://localhost:1234/oauth/callback";
    private static readonly AuthorizationServer s_server = new(Issuer) { AuthorizationEndpoint = new("https://as.test/authorize") };
    private static readonly StoredFlow s_flow = new() { Issuer = Issuer, State = "s t+a/te" };

    [Fact]
    public void A_request_has_all_that_the_response_is_checked_by()
    {
        var flow = Create(scope: "a:b c", resource: "https://mcp.test/a b?x=y&z");
        flow.Url.ShouldStartWith("https://as.test/authorize?");
        var verifier = flow.Verifier.ShouldNotBeNull();
        Parameters(flow).ShouldBe(
            new Dictionary<string, string>
            {
                ["response_type"] = "code",
                ["client_id"] = "https://client.test/c?x=y",
                ["redirect_uri"] = RedirectUri,
                ["code_challenge"] = Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier))),
                ["code_challenge_method"] = "S256",
                ["state"] = flow.State.ShouldNotBeNull(),
                ["scope"] = "a:b c",
                ["resource"] = "https://mcp.test/a b?x=y&z",
            },
            ignoreOrder: true);
        (flow.Issuer, flow.ClientId, flow.Scope, flow.Resource, flow.RedirectUri, flow.StartedAt).ShouldBe((Issuer, "https://client.test/c?x=y", "a:b c", "https://mcp.test/a b?x=y&z", RedirectUri, 5000));
        verifier.ShouldMatch("^[A-Za-z0-9._~-]{43,128}$");
        flow.State.ShouldMatch("^[A-Za-z0-9._~-]{43,}$");
        var other = Create();
        other.State.ShouldNotBe(flow.State);
        other.Verifier.ShouldNotBe(verifier);
    }

    [Fact]
    public void What_is_not_asked_for_is_left_out()
    {
        Parameters(Create()).Keys.ShouldBe(["response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method", "state"], ignoreOrder: true);
        (Create().Scope, Create().Resource).ShouldBe((null, null));
    }

    [Theory]
    [InlineData("https://as.test/authorize?tenant=a%20b&x", "https://as.test/authorize?tenant=a%20b&x&response_type=code&")]
    [InlineData("https://as.test/authorize?", "https://as.test/authorize?response_type=code&")]
    [InlineData("https://as.test:8443/authorize#part", "https://as.test:8443/authorize?response_type=code&")]
    public void The_endpoint_keeps_its_query_and_loses_its_fragment(string endpoint, string start)
    {
        var url = Create(s_server with { AuthorizationEndpoint = new(endpoint) }).Url;
        url.ShouldStartWith(start);
        url.ShouldNotContain("#");
    }

    [Theory]
    [InlineData("a offline_access", null, "consent")]
    [InlineData("a", null, null)]
    [InlineData("offline_access", "login", "login")]
    [InlineData("a", "login", "login")]
    public void Offline_access_takes_consent_unless_the_user_says_otherwise(string scope, string? given, string? prompt)
    {
        var parameters = Parameters(Create(scope: scope, options: new() { AuthorizeParameters = given is null ? [new("a b", "c&d=")] : [new("a b", "c&d="), new("prompt", given)] }));
        parameters.GetValueOrDefault("prompt").ShouldBe(prompt);
        parameters["a b"].ShouldBe("c&d=");
    }

    [Fact]
    public void The_browser_is_led_nowhere_over_plain_http()
    {
        var server = s_server with { AuthorizationEndpoint = new("http://as.test/authorize") };
        Should.Throw<OAuthException>(() => Create(server)).Failure.ShouldBe(OAuthFailure.Unusable);
        Create(server, options: new() { AllowHttp = true }).Url.ShouldStartWith("http://as.test/");
    }

    /// <summary>MCP 2026-07-28, "Authorization Response Validation"; RFC 9207 section 2.4.</summary>
    [Theory]
    [InlineData(true, "&iss=https%3A%2F%2Fas.test%2Ft", true)]
    [InlineData(true, "", false)]
    [InlineData(false, "&iss=https://as.test/t", true)]
    [InlineData(false, "", true)]
    [InlineData(true, "&iss=https%3A%2F%2Fevil.test", false)]
    [InlineData(false, "&iss=https%3A%2F%2Fevil.test", false)]
    [InlineData(false, "&iss=", false)]
    [InlineData(false, "&iss", false)]
    [InlineData(false, "&iss=https://as.test/t/", false)]
    [InlineData(false, "&iss=https://as.test:443/t", false)]
    [InlineData(false, "&iss=https://AS.test/t", false)]
    [InlineData(false, "&iss=https://as.test/%2574", false)]
    [InlineData(false, "&iss=https://as.test/t&iss=https://evil.test", false)]
    [InlineData(false, "&iss=https://evil.test&iss=https://as.test/t", false)]
    public void An_answer_comes_from_where_the_sign_in_began(bool sendsIssuer, string issuer, bool isGood)
    {
        foreach (var (rest, good) in ((string, string?)[])[("code=c%20+d", "c  d"), ("error=access_denied&error_description=secret", null)])
        {
            var response = AuthorizationResponse.Read($"{rest}{issuer}&state=s+t%2Ba/te", s_flow, sendsIssuer);
            response.Problem.ShouldBeNull();
            response.Code.ShouldBe(isGood ? good : null);
            (response.Failure?.Code).ShouldBe(isGood && good is null ? "access_denied" : null);
            if (!isGood)
            {
                response.Failure.ShouldNotBeNull().Failure.ShouldBe(OAuthFailure.Denied);
                response.Failure.Message.ShouldNotContain("secret");
            }
        }
    }

    [Theory]
    [InlineData("code=c")]
    [InlineData("code=c&state=")]
    [InlineData("code=c&state=other")]
    [InlineData("code=c&state=s+t%2Ba/tex")]
    [InlineData("code=c&state=S+t%2Ba/te")]
    [InlineData("code=c&state=s+t%2Ba/te&state=other")]
    [InlineData("code=c&state=s+t%2Ba/te&state=s+t%2Ba/te")]
    [InlineData("code=c&State=s+t%2Ba/te")]
    [InlineData("error=access_denied")]
    [InlineData("error=access_denied&state=other")]
    [InlineData("")]
    public void An_answer_to_something_else_ends_nothing(string query) => AuthorizationResponse.Read(query, s_flow, sendsIssuer: true).ShouldBe(AuthorizationResponse.Foreign);

    [Fact]
    public void A_flow_without_a_state_takes_no_answer() => AuthorizationResponse.Read("code=c&state=", new() { Issuer = Issuer }, sendsIssuer: false).ShouldBe(AuthorizationResponse.Foreign);

    [Theory]
    [InlineData("")]
    [InlineData("&code=")]
    [InlineData("&code")]
    [InlineData("&code=a&code=b")]
    [InlineData("&Code=a")]
    public void An_answer_with_no_code_or_two_is_none(string rest)
    {
        var response = AuthorizationResponse.Read($"state=s+t%2Ba/te{rest}", s_flow, sendsIssuer: false);
        (response.Code, response.Failure).ShouldBe((null, null));
        response.Problem.ShouldNotBeNull();
    }

    [Theory]
    [InlineData("error=access_denied&code=c", "access_denied", "access_denied")]
    [InlineData("error=invalid_scope&error_description=no+such%0A%1b[31m+scope", "invalid_scope", "no such  [31m scope")]
    public void A_refusal_is_told(string rest, string code, string text)
    {
        var failure = AuthorizationResponse.Read($"state=s+t%2Ba/te&{rest}", s_flow, sendsIssuer: false).Failure.ShouldNotBeNull();
        (failure.Failure, failure.Code).ShouldBe((OAuthFailure.Denied, code));
        failure.Message.ShouldContain(text);
    }

    private static StoredFlow Create(AuthorizationServer? server = null, string? scope = null, string? resource = null, OAuthOptions? options = null)
    {
        var time = new ManualTime();
        time.Advance(TimeSpan.FromSeconds(5));
        using var http = new FakeHttp(_ => FakeHttp.Status(404));
        using var invoker = new HttpMessageInvoker(http);
        var context = new OAuthContext(new("https://mcp.test"), options ?? new(), invoker, new MemoryTokenStore(), time, NullLogger.Instance);
        return AuthorizationRequest.Create(context, server ?? s_server, new("https://client.test/c?x=y"), ScopeSet.Parse(scope), resource, RedirectUri);
    }

    private static Dictionary<string, string> Parameters(StoredFlow flow) => FakeHttp.Request.Query(new Uri(flow.Url).Query);
}
