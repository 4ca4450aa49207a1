using System.Text.Json;
using McpProxy.AspNetCore.Access;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>What clients are told about who authorizes (RFC 9728).</summary>
public sealed class MetadataTests
{
    private static readonly InboundAuthenticationOptions s_tokens = new() { Jwt = new() { Issuers = ["https://as.test/tenant", "https://other.test"], Audiences = ["https://x"], RequiredScopes = ["a", "b"] } };

    [Theory]
    [InlineData("", "")]
    [InlineData("/", "")]
    [InlineData("/mcp", "mcp")]
    [InlineData("/mcp/", "mcp")]
    [InlineData("/sse", "sse")]
    public async Task It_is_there_for_each_path_and_for_everybody(string path, string resource)
    {
        await using var server = await GuardedServer.StartAsync(s_tokens);

        var answer = await server.Client.GetAsync($"/.well-known/oauth-protected-resource{path}", TestContext.Current.CancellationToken);

        ((int)answer.StatusCode).ShouldBe(200);
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/json");
        (await answer.TextAsync()).ShouldBe(
            $$"""{"resource":"{{server.Url.AbsoluteUri.TrimEnd('/')}}{{(resource.Length > 0 ? "/" + resource : "")}}","authorization_servers":["https://as.test/tenant","https://other.test"],"scopes_supported":["a","b"],"bearer_methods_supported":["header"]}""");
    }

    [Theory]
    [InlineData("GET", "/other", 404)]
    [InlineData("GET", "/messages", 404)]
    [InlineData("HEAD", "/mcp", 200)]
    [InlineData("POST", "/mcp", 405)]
    public async Task There_is_no_other(string method, string path, int status)
    {
        await using var server = await GuardedServer.StartAsync(s_tokens);

        using var request = new HttpRequestMessage(new(method), $"/.well-known/oauth-protected-resource{path}");

        ((int)(await server.Client.SendAsync(request, TestContext.Current.CancellationToken)).StatusCode).ShouldBe(status);
    }

    [Fact]
    public async Task Without_tokens_there_is_none()
    {
        await using var server = await GuardedServer.StartAsync(new() { ApiKeys = [ApiKey.Of("k")] });

        ((int)(await server.Client.GetAsync("/.well-known/oauth-protected-resource/mcp", TestContext.Current.CancellationToken)).StatusCode).ShouldBe(404);
    }

    [Theory]
    [InlineData("https://tools.test/everything/", "https://tools.test/everything")]
    [InlineData("https://tools.test", "https://tools.test")]
    public async Task It_names_what_clients_see_in_front(string baseUrl, string origin)
    {
        await using var server = await GuardedServer.StartAsync(s_tokens, new() { BaseUrl = new(baseUrl) });

        // Where the reverse proxy takes the prefix away, and where it does not.
        foreach (var path in new[] { "/mcp", $"{new Uri(origin).AbsolutePath.TrimEnd('/')}/mcp" })
        {
            using var document = JsonDocument.Parse(await server.Client.GetStringAsync($"/.well-known/oauth-protected-resource{path}", TestContext.Current.CancellationToken));
            document.RootElement.GetProperty("resource").GetString().ShouldBe($"{origin}/mcp");
        }

        (await server.KnockAsync()).Headers.GetValues("WWW-Authenticate").Single().ShouldStartWith($"Bearer resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\"");
    }

    [Fact]
    public async Task A_prefix_alone_is_named_as_well()
    {
        await using var server = await GuardedServer.StartAsync(s_tokens, new() { BaseUrl = new("/everything", UriKind.Relative) });

        (await server.Client.GetStringAsync("/.well-known/oauth-protected-resource/mcp", TestContext.Current.CancellationToken)).ShouldContain($"{server.Url}everything/mcp");
    }

    [Theory]
    [InlineData("/messages?sessionId=x")]
    [InlineData("/sse")]
    public async Task A_client_of_the_older_transport_is_led_to_its_stream(string path)
    {
        await using var server = await GuardedServer.StartAsync(s_tokens);

        var answer = await server.Client.PostAsync(path, "{}");

        answer.Headers.GetValues("WWW-Authenticate").Single().ShouldContain("/.well-known/oauth-protected-resource/sse\"");
    }

    [Fact]
    public void What_is_known_beforehand_is_who_tokens_may_be_meant_for()
    {
        ProtectedResourceMetadata.KnownResources(new() { BaseUrl = new("https://tools.test/x/"), StreamableHttpPath = "/mcp", SsePath = null })
            .ShouldBe(["https://tools.test/x", "https://tools.test/x/mcp"]);
        ProtectedResourceMetadata.KnownResources(new() { BaseUrl = new("/x", UriKind.Relative) }).ShouldBeEmpty();
        ProtectedResourceMetadata.KnownResources(new()).ShouldBeEmpty();
    }
}
