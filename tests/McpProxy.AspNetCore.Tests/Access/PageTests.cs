using McpProxy.AspNetCore.Access;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>What web pages may do: those of origins that were named, and those that were tricked into believing that we are theirs.</summary>
public sealed class PageTests
{
    private const string Page = "https://page.test";

    private static readonly InboundAuthenticationOptions s_keys = new() { ApiKeys = [ApiKey.Of("k")], Jwt = new() { Issuers = ["https://as.test"], Audiences = ["x"] } };

    public static TheoryData<string> Paths => ["/mcp", "/sse", "/messages", "/health", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/unknown", "/"];

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Another_name_for_this_machine_is_not_answered_on_any_path(string path)
    {
        await using var server = await GuardedServer.StartAsync(s_keys);

        foreach (var (header, value) in new[] { ("Host", "rebound.test"), ("Host", "127.0.0.1.rebound.test"), ("Origin", "https://rebound.test"), ("Origin", "null"), ("Origin", "") })
        {
            var answer = await SendAsync(server, "GET", path, (header, value));

            ((int)answer.StatusCode).ShouldBe(403);
            (await answer.TextAsync()).ShouldContain("Forbidden");
        }
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task Another_origin_is_told_nothing(string path)
    {
        await using var server = await GuardedServer.StartAsync(s_keys, new() { AllowedOrigins = [Page] });

        foreach (var (origin, status) in new[] { ("https://other.test", 403), ("http://localhost:3000", 0), ("https://page.test.other.test", 403), ("http://page.test", 403) })
        {
            var preflight = await SendAsync(server, "OPTIONS", path, ("Origin", origin), ("Access-Control-Request-Method", "POST"));

            preflight.Headers.ShouldAllBe(header => !header.Key.StartsWith("Access-Control-", StringComparison.OrdinalIgnoreCase));
            preflight.Headers.Vary.ShouldBe(status == 403 ? [] : ["Origin"]);
            if (status > 0)
            {
                ((int)preflight.StatusCode).ShouldBe(status);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task A_named_origin_may_ask_beforehand_without_a_credential(string path)
    {
        await using var server = await GuardedServer.StartAsync(s_keys, new() { AllowedOrigins = [Page] });
        const string Asked = "authorization,content-type,last-event-id,mcp-method,mcp-param-region,mcp-protocol-version,mcp-session-id,traceparent,x-api-key";

        var answer = await SendAsync(server, "OPTIONS", path, ("Origin", Page), ("Access-Control-Request-Method", "DELETE"), ("Access-Control-Request-Headers", Asked));

        ((int)answer.StatusCode).ShouldBe(204);
        Values(answer, "Access-Control-Allow-Origin").ShouldBe([Page]);
        Values(answer, "Access-Control-Allow-Methods").ShouldBe(["GET, POST, DELETE"]);
        Values(answer, "Access-Control-Allow-Headers").ShouldBe([Asked]);
        answer.Headers.Vary.ShouldBe(["Origin"]);
        answer.Headers.Contains("Access-Control-Allow-Credentials").ShouldBeFalse();
    }

    [Fact]
    public async Task A_named_origin_may_read_the_refusal_and_the_answer()
    {
        await using var server = await GuardedServer.StartAsync(s_keys, new() { AllowedOrigins = [Page] });

        foreach (var (answer, status) in new[] { (await server.KnockAsync(("Origin", Page)), 401), (await server.KnockAsync(("Origin", Page), ("X-API-Key", "k")), 200) })
        {
            ((int)answer.StatusCode).ShouldBe(status);
            Values(answer, "Access-Control-Allow-Origin").ShouldBe([Page]);
            Values(answer, "Access-Control-Expose-Headers").ShouldBe(["Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After"]);
            answer.Headers.Vary.ShouldBe(["Origin"]);
        }

        (await server.KnockAsync(("X-API-Key", "k"))).Headers.Vary.ShouldHaveSingleItem("a cache must not give it to a page").ShouldBe("Origin");
    }

    [Fact]
    public async Task Without_named_origins_nothing_depends_on_the_origin()
    {
        await using var server = await GuardedServer.StartAsync(s_keys);

        (await server.KnockAsync(("X-API-Key", "k"), ("Origin", "http://localhost:1"))).Headers.Vary.ShouldBeEmpty();
    }

    private static IEnumerable<string> Values(HttpResponseMessage answer, string header) => answer.Headers.GetValues(header);

    private static async Task<HttpResponseMessage> SendAsync(GuardedServer server, string method, string path, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(new(method), path);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
    }
}
