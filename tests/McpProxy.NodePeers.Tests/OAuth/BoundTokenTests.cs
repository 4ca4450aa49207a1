using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;
using Shouldly;
using Xunit;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>Tokens that are bound to a key of the client; both servers want nonces in the proofs (RFC 9449).</summary>
public sealed class BoundTokenTests(Chromium chromium)
{
    [Fact]
    public async Task A_token_is_bound_and_stays_so()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, new { dpop = true });
        var client = scene.Client();
        var call = client.WhoAmIAsync();
        await scene.SignInAsync(await scene.BrowsedAsync());
        var key = Thumbprint(await call);

        await scene.Server.ExpireAsync();
        Thumbprint(await client.WhoAmIAsync()).ShouldBe(key);
        Thumbprint(await scene.Client().WhoAmIAsync()).ShouldBe(key);

        scene.Browsed.ShouldHaveSingleItem();
        var seen = await scene.Server.SeenAsync();
        seen.Grants("refresh_token").ShouldHaveSingleItem().GetProperty("proof").GetBoolean().ShouldBeTrue();
        seen.OfKind("mcp").ShouldNotContain(request => IsError(request, "invalid_dpop_proof"));
    }

    [Fact]
    public async Task Calls_at_once_all_find_a_nonce()
    {
        await using var scene = await SignInScene.OpenAsync(chromium, new { dpop = true });
        var client = scene.Client();
        await scene.SignInAsync(await scene.BrowsedAsync());
        await client.WhoAmIAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => client.WhoAmIAsync()));

        answers.Select(Thumbprint).Distinct().ShouldHaveSingleItem();
    }

    private static string Thumbprint(JsonElement claims) => claims.GetProperty("cnf").Text("jkt");

    private static bool IsError(JsonElement request, string error) => request.TryGetProperty("error", out var value) && value.GetString() == error;
}
