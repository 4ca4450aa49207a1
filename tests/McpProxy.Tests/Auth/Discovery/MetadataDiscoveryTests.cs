using System.Net;
using System.Text.Json;
using McpProxy.Auth;
using McpProxy.Auth.Discovery;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Discovery;

/// <summary>MCP 2026-07-28, "Authorization Server Discovery"; RFC 9728 and RFC 8414.</summary>
public sealed class MetadataDiscoveryTests
{
    private const string Server = "https://mcp.test/a/mcp";
    private const string WellKnown = "https://mcp.test/.well-known/oauth-protected-resource";

    private readonly LogCollector _log = new();

    [Theory]
    [InlineData("https://mcp.test", null, WellKnown)]
    [InlineData("https://mcp.test/", null, WellKnown)]
    [InlineData("https://mcp.test:8443/a/mcp", null, "https://mcp.test:8443/.well-known/oauth-protected-resource/a/mcp https://mcp.test:8443/.well-known/oauth-protected-resource")]
    [InlineData("https://mcp.test/a/mcp/", null, WellKnown + "/a/mcp " + WellKnown)]
    [InlineData("https://mcp.test/a%20b?x=y", null, WellKnown + "/a%20b?x=y " + WellKnown)]
    [InlineData(Server, "https://other.test/m", "https://other.test/m " + WellKnown + "/a/mcp " + WellKnown)]
    [InlineData(Server, "/m", "https://mcp.test/m " + WellKnown + "/a/mcp " + WellKnown)]
    [InlineData(Server, WellKnown, WellKnown + " " + WellKnown + "/a/mcp")]
    [InlineData(Server, WellKnown + "/a/mcp", WellKnown + "/a/mcp " + WellKnown)]
    [InlineData(Server, "file:///etc/passwd", WellKnown + "/a/mcp " + WellKnown)]
    [InlineData(Server, "javascript:alert(1)", WellKnown + "/a/mcp " + WellKnown)]
    public async Task A_server_is_asked_in_this_order(string server, string? challenge, string urls)
    {
        using var http = new FakeHttp(_ => FakeHttp.Status(404));
        try
        {
            await Discovery(http, server).FindResourceAsync(challenge, default);
        }
        catch (OAuthException)
        {
            // It said that it has metadata.
        }

        http.Urls.ShouldBe(urls.Split(' '));
        http.Requests.ShouldAllBe(request => request.Method == "GET" && request.Header("Accept") == "application/json" && request.Header("Authorization") == null);
    }

    [Fact]
    public async Task What_a_server_says_about_itself_is_taken_as_it_is()
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(
            """{"resource":"https://MCP.test/a/","authorization_servers":["https://as.test/","https://as2.test"],"scopes_supported":["b","a"],"dpop_bound_access_tokens_required":true}"""));
        var resource = await Discovery(http).FindResourceAsync("https://mcp.test/m", default);
        http.Urls.ShouldBe(["https://mcp.test/m"]);
        (resource.Resource, resource.ScopesSupported?.ToString(), resource.RequiresDpop, resource.IsImplied).ShouldBe(("https://MCP.test/a/", "b a", true, false));
        resource.AuthorizationServers.ShouldBe(["https://as.test/", "https://as2.test"]);
    }

    /// <summary>Its own URL, or a part of it that ends where a segment ends.</summary>
    [Theory]
    [InlineData(Server, Server, true)]
    [InlineData(Server, Server + "/", true)]
    [InlineData(Server, "https://mcp.test/a", true)]
    [InlineData(Server, "https://mcp.test/a/", true)]
    [InlineData(Server, "https://mcp.test", true)]
    [InlineData(Server, "https://mcp.test:443/", true)]
    [InlineData(Server, "HTTPS://MCP.TEST/a", true)]
    [InlineData("https://mcp.test", "https://mcp.test/", true)]
    [InlineData(Server, "https://mcp.test/a/m", false)]
    [InlineData(Server, "https://mcp.test/a/mcp2", false)]
    [InlineData(Server, "https://mcp.test/a/mcp/b", false)]
    [InlineData(Server, "https://mcp.test/A", false)]
    [InlineData(Server, "https://mcp.test/b", false)]
    [InlineData(Server, "https://mcp.test/a#part", false)]
    [InlineData(Server, "https://mcp.test:8443/a", false)]
    [InlineData(Server, "https://mcp.test.evil.test/a", false)]
    [InlineData(Server, "https://evil.test", false)]
    [InlineData(Server, "http://mcp.test/a/mcp", false)]
    [InlineData(Server, "/a/mcp", false)]
    [InlineData(Server, "", false)]
    public async Task A_resource_is_the_server_or_what_it_is_a_part_of(string server, string resource, bool isOurs)
    {
        using var http = new FakeHttp(_ => Resource(resource));
        if (isOurs)
        {
            (await Discovery(http, server).FindResourceAsync(null, default)).Resource.ShouldBe(resource);
        }
        else
        {
            (await FailsAsync(Discovery(http, server).FindResourceAsync(null, default))).ShouldBe(OAuthFailure.Unusable);
            (await Discovery(http, server, option: resource).FindResourceAsync(null, default)).Resource.ShouldBe(resource);
            (await FailsAsync(Discovery(http, server, option: "https://other.test").FindResourceAsync(null, default))).ShouldBe(OAuthFailure.Unusable);
        }

        http.Requests.Count.ShouldBe(isOurs ? 1 : 3);
    }

    [Theory]
    [InlineData("https://MCP.test/a/mcp?key=secret#part", "https://mcp.test/a/mcp")]
    [InlineData("https://mcp.test/a/", "https://mcp.test/a/")]
    [InlineData("https://mcp.test/", "https://mcp.test")]
    [InlineData("https://mcp.test:443", "https://mcp.test")]
    [InlineData("http://localhost:8080/mcp", "http://localhost:8080/mcp")]
    public async Task A_server_that_does_not_name_itself_is_called_by_its_url(string server, string name)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json("""{"authorization_servers":["https://as.test"],"resource":7}"""));
        (await Discovery(http, server).FindResourceAsync(null, default)).Resource.ShouldBe(name);
        MetadataDiscovery.CanonicalUri(new(server)).ShouldBe(name);
        _log.Warnings.ShouldHaveSingleItem();
    }

    [Theory]
    [InlineData("""{"resource":"https://mcp.test"}""")]
    [InlineData("""{"resource":"https://mcp.test","authorization_servers":[]}""")]
    [InlineData("""{"resource":"https://mcp.test","authorization_servers":"https://as.test"}""")]
    public async Task A_server_that_names_no_other_authorizes_itself(string json)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(json));
        var resource = await Discovery(http).FindResourceAsync(null, default);
        resource.AuthorizationServers.ShouldBe(["https://mcp.test"]);
        (resource.IsImplied, resource.ScopesSupported).ShouldBe((true, null));
    }

    [Theory]
    [InlineData(404, "")]
    [InlineData(401, "")]
    [InlineData(200, "<html>")]
    [InlineData(200, "[]")]
    public async Task A_server_without_metadata_authorizes_itself(int status, string body)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(body, status));
        var resource = await Discovery(http, "https://mcp.test:8443/a/mcp?x").FindResourceAsync(null, default);
        (resource.Resource, resource.ScopesSupported, resource.RequiresDpop, resource.IsImplied).ShouldBe(("https://mcp.test:8443/a/mcp", null, false, true));
        resource.AuthorizationServers.ShouldBe(["https://mcp.test:8443"]);
        http.Requests.Count.ShouldBe(2);

        // But one that says where its metadata is has some.
        (await FailsAsync(Discovery(http, "https://mcp.test:8443").FindResourceAsync("https://mcp.test:8443/m", default))).ShouldBe(OAuthFailure.Unusable);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(429)]
    [InlineData(0)]
    public async Task Silence_is_not_taken_for_a_lack_of_metadata(int status)
    {
        foreach (var last in (string[])[WellKnown, WellKnown + "/a/mcp"])
        {
            using var http = new FakeHttp(request => request.Url.AbsoluteUri == last ? Silent(status) : FakeHttp.Status(404));
            (await FailsAsync(Discovery(http).FindResourceAsync(null, default))).ShouldBe(OAuthFailure.Temporary);
            http.Requests.Count.ShouldBe(2);
            (await FailsAsync(Discovery(http).FindResourceAsync(last, default))).ShouldBe(OAuthFailure.Temporary);
        }

        foreach (var last in (string[])["https://as.test/.well-known/oauth-authorization-server", "https://as.test/.well-known/openid-configuration"])
        {
            using var http = new FakeHttp(request => request.Url.AbsoluteUri == last ? Silent(status) : FakeHttp.Status(404));
            (await FailsAsync(Discovery(http).FindServerAsync("https://as.test", isImplied: false, default))).ShouldBe(OAuthFailure.Temporary);
            (await FailsAsync(Discovery(http).FindServerAsync("https://as.test", isImplied: true, default))).ShouldBe(OAuthFailure.Temporary);
        }
    }

    [Fact]
    public async Task A_place_that_is_silent_does_not_hide_the_next()
    {
        using var http = new FakeHttp(request => request.Url.AbsolutePath switch
        {
            "/m" => Silent(0),
            "/.well-known/oauth-protected-resource/a/mcp" => Silent(500),
            "/.well-known/oauth-protected-resource" => Resource("https://mcp.test"),
            "/.well-known/oauth-authorization-server" => Silent(500),
            _ => FakeHttp.Json("""{"issuer":"https://as.test"}"""),
        });
        (await Discovery(http).FindResourceAsync("https://mcp.test/m", default)).Resource.ShouldBe("https://mcp.test");
        (await Discovery(http).FindServerAsync("https://as.test", isImplied: false, default)).IsImplied.ShouldBeFalse();
    }

    [Fact]
    public async Task A_page_in_place_of_metadata_does_not_hide_silence()
    {
        using var http = new FakeHttp(request => request.Url.AbsolutePath == "/.well-known/oauth-authorization-server" ? FakeHttp.Json("<html>") : Silent(503));
        (await FailsAsync(Discovery(http).FindServerAsync("https://mcp.test", isImplied: true, default))).ShouldBe(OAuthFailure.Temporary);
    }

    [Fact]
    public async Task A_server_that_never_answers_is_given_up()
    {
        var time = new ManualTime();
        using var http = new HangingHttp();
        using var invoker = new HttpMessageInvoker(http);
        var search = new MetadataDiscovery(new(invoker, new("https://mcp.test"), false, time), new("https://mcp.test"), null, _log).FindResourceAsync(null, default);
        await http.Asked.Task;
        time.Advance(TimeSpan.FromSeconds(20));
        (await FailsAsync(search)).ShouldBe(OAuthFailure.Temporary);

        using var cancellation = new CancellationTokenSource();
        var cancelled = new MetadataDiscovery(new(invoker, new("https://mcp.test"), false, time), new("https://mcp.test"), null, _log).FindResourceAsync(null, cancellation.Token);
        await cancellation.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(cancelled);
    }

    [Theory]
    [InlineData("https://as.test", "https://as.test/.well-known/oauth-authorization-server https://as.test/.well-known/openid-configuration")]
    [InlineData("https://as.test:8443/", "https://as.test:8443/.well-known/oauth-authorization-server https://as.test:8443/.well-known/openid-configuration")]
    [InlineData("https://as.test/t/1", "https://as.test/.well-known/oauth-authorization-server/t/1 https://as.test/.well-known/openid-configuration/t/1 https://as.test/t/1/.well-known/openid-configuration")]
    [InlineData("https://as.test/t/", "https://as.test/.well-known/oauth-authorization-server/t https://as.test/.well-known/openid-configuration/t https://as.test/t/.well-known/openid-configuration")]
    public async Task An_issuer_is_asked_in_this_order(string issuer, string urls)
    {
        using var http = new FakeHttp(_ => FakeHttp.Status(404));
        (await FailsAsync(Discovery(http).FindServerAsync(issuer, isImplied: false, default))).ShouldBe(OAuthFailure.Unusable);
        http.Urls.ShouldBe(urls.Split(' '));
        foreach (var url in urls.Split(' '))
        {
            using var one = new FakeHttp(request => request.Url.AbsoluteUri == url ? FakeHttp.Json(JsonSerializer.Serialize(new { issuer })) : FakeHttp.Status(404));
            (await Discovery(one).FindServerAsync(issuer, isImplied: false, default)).Issuer.ShouldBe(issuer);
            one.Urls.Last().ShouldBe(url);
        }
    }

    [Theory]
    [InlineData("https://as.test", "https://as.test/")]
    [InlineData("https://as.test/", "https://as.test")]
    [InlineData("https://as.test", "https://AS.test")]
    [InlineData("https://as.test", "https://as.test:443")]
    [InlineData("https://as.test/t", "https://as.test")]
    [InlineData("https://as.test", "https://evil.test")]
    [InlineData("https://as.test", null)]
    public async Task Metadata_of_another_issuer_is_not_used(string issuer, string? named)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(JsonSerializer.Serialize(new { issuer = named, token_endpoint = "https://as.test/token" })));
        (await FailsAsync(Discovery(http).FindServerAsync(issuer, isImplied: false, default))).ShouldBe(OAuthFailure.Unusable);
        if (named is not null)
        {
            (await FailsAsync(Discovery(http).FindServerAsync(issuer, isImplied: true, default))).ShouldBe(OAuthFailure.Unusable);
        }
    }

    [Theory]
    [InlineData("as.test")]
    [InlineData("file:///etc/passwd")]
    [InlineData("")]
    public async Task An_issuer_is_a_web_address(string issuer)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json("{}"));
        (await FailsAsync(Discovery(http).FindServerAsync(issuer, isImplied: false, default))).ShouldBe(OAuthFailure.Unusable);
        http.Requests.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(404, "")]
    [InlineData(200, "<html>")]
    public async Task An_implied_server_has_the_endpoints_of_old(int status, string body)
    {
        using var http = new FakeHttp(_ => FakeHttp.Json(body, status));
        var server = await Discovery(http).FindServerAsync("https://mcp.test:8443", isImplied: true, default);
        server.ShouldBe(new("https://mcp.test:8443")
        {
            AuthorizationEndpoint = new("https://mcp.test:8443/authorize"),
            TokenEndpoint = new("https://mcp.test:8443/token"),
            RegistrationEndpoint = new("https://mcp.test:8443/register"),
            IsImplied = true,
            ScopesSupported = server.ScopesSupported,
        });
        (await FailsAsync(Discovery(http).FindServerAsync("https://mcp.test:8443", isImplied: false, default))).ShouldBe(OAuthFailure.Unusable);
    }

    [Fact]
    public async Task What_an_authorization_server_can_do_is_read_from_its_metadata()
    {
        using var http = new FakeHttp(_ => FakeHttp.Json("""
            {"issuer":"https://as.test","authorization_endpoint":"https://as.test/a?x=y","token_endpoint":"https://as.test/t","registration_endpoint":"javascript:alert(1)",
             "device_authorization_endpoint":"/relative","revocation_endpoint":"https://as.test/r","scopes_supported":["a","offline_access"],"code_challenge_methods_supported":["S256"],
             "authorization_response_iss_parameter_supported":true,"client_id_metadata_document_supported":"true","token_endpoint_auth_methods_supported":["none",7],"dpop_signing_alg_values_supported":["ES256"]}
            """));
        var server = await Discovery(http).FindServerAsync("https://as.test", isImplied: false, default);
        (server.AuthorizationEndpoint?.AbsoluteUri, server.TokenEndpoint?.AbsoluteUri, server.RevocationEndpoint?.AbsoluteUri).ShouldBe(("https://as.test/a?x=y", "https://as.test/t", "https://as.test/r"));
        (server.RegistrationEndpoint, server.DeviceAuthorizationEndpoint).ShouldBe((null, null));
        (server.SendsIssuer, server.SupportsClientMetadataDocuments, server.IsImplied, server.ScopesSupported.ToString()).ShouldBe((true, false, false, "a offline_access"));
        server.CodeChallengeMethods.ShouldBe(["S256"]);
        server.TokenEndpointAuthMethods.ShouldBe(["none"]);
        server.DpopAlgorithms.ShouldBe(["ES256"]);
        server.GrantTypes.ShouldBeNull();
    }

    [Fact]
    public async Task Redirects_stay_at_their_origin()
    {
        using var http = new FakeHttp(request => request.Url.AbsolutePath == "/end" ? FakeHttp.Json("""{"issuer":"https://as.test"}""") : FakeHttp.Redirect("/end"));
        (await Discovery(http).FindServerAsync("https://as.test", isImplied: false, default)).IsImplied.ShouldBeFalse();
        http.Urls.Last().ShouldBe("https://as.test/end");

        foreach (var target in (string[])["https://evil.test/", "http://as.test/", "https://as.test:8443/", "//evil.test/"])
        {
            using var other = new FakeHttp(_ => FakeHttp.Redirect(target));
            (await FailsAsync(Discovery(other).FindServerAsync("https://as.test", isImplied: false, default))).ShouldBe(OAuthFailure.Unusable);
            other.Requests.ShouldAllBe(request => request.Url.Authority == "as.test" && request.Url.Scheme == "https");
        }

        using var endless = new FakeHttp(_ => FakeHttp.Redirect("/again"));
        (await FailsAsync(Discovery(endless).FindServerAsync("https://as.test", isImplied: false, default))).ShouldBe(OAuthFailure.Unusable);
        endless.Requests.Count.ShouldBeLessThan(10);
    }

    [Theory]
    [InlineData("https://mcp.test", "https://as.test", true)]
    [InlineData("https://mcp.test", "http://as.test", false)]
    [InlineData("https://mcp.test", "http://localhost:8080", false)]
    [InlineData("https://mcp.test", "http://127.0.0.1:8080", false)]
    [InlineData("https://mcp.test", "http://[::1]:8080", false)]
    [InlineData("https://mcp.test", "https://localhost:8443", false)]
    [InlineData("https://localhost:1234", "https://127.0.0.1:8443", true)]
    [InlineData("http://mcp.test", "http://mcp.test", false)]
    [InlineData("http://localhost:1234", "http://127.0.0.1:8080", true)]
    [InlineData("http://127.0.0.1:1234", "http://as.test", false)]
    public async Task Plain_http_is_for_this_machine_alone_and_this_machine_for_itself_unless_allowed(string server, string url, bool isAsked)
    {
        foreach (var (isAllowed, expected) in ((bool, bool)[])[(false, isAsked), (true, true)])
        {
            using var http = new FakeHttp(_ => FakeHttp.Json(JsonSerializer.Serialize(new { issuer = url, resource = server })));
            var discovery = Discovery(http, server, allowHttp: isAllowed);
            if (expected)
            {
                await discovery.FindServerAsync(url, isImplied: false, default);
                await discovery.FindResourceAsync($"{url}/m", default);
            }
            else
            {
                (await FailsAsync(discovery.FindServerAsync(url, isImplied: false, default))).ShouldBe(OAuthFailure.Unusable);
                (await FailsAsync(discovery.FindResourceAsync($"{url}/m", default))).ShouldBe(OAuthFailure.Unusable);
            }

            http.Requests.Count.ShouldBe(expected ? 2 : 0);
        }
    }

    [Fact]
    public async Task A_document_may_be_long_but_not_too_long()
    {
        foreach (var (size, isGood) in ((int, bool)[])[(500_000, true), (600_000, false)])
        {
            using var http = new FakeHttp(_ => FakeHttp.Json($$"""{"resource":"https://mcp.test","x":"{{new string('x', size)}}"}"""));
            if (isGood)
            {
                await Discovery(http).FindResourceAsync(null, default);
            }
            else
            {
                (await FailsAsync(Discovery(http).FindResourceAsync(null, default))).ShouldBe(OAuthFailure.Unusable);
            }
        }
    }

    private static HttpResponseMessage Resource(string resource) => FakeHttp.Json(JsonSerializer.Serialize(new { resource, authorization_servers = (string[])["https://as.test"] }));

    private static HttpResponseMessage Silent(int status) => status == 0 ? throw new HttpRequestException("no connection") : FakeHttp.Status(status);

    private static async Task<OAuthFailure> FailsAsync(Task task) => (await Should.ThrowAsync<OAuthException>(task)).Failure;

    private MetadataDiscovery Discovery(FakeHttp http, string server = Server, string? option = null, bool allowHttp = false) =>
        new(http.Client(server, allowHttp), new(server), option, _log);

    private sealed class HangingHttp : HttpMessageHandler
    {
        public TaskCompletionSource Asked { get; } = new();

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Asked.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancellationToken);
            return new(HttpStatusCode.OK);
        }
    }
}
