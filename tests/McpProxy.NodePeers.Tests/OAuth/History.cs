using System.Text.Json;
using McpProxy.NodePeers.Tests.Scenery;

namespace McpProxy.NodePeers.Tests.OAuth;

/// <summary>What the two servers have seen.</summary>
internal sealed class History(JsonElement seen)
{
    /// <summary>How many refresh tokens are still good.</summary>
    public int RefreshTokens => seen.GetProperty("refreshTokens").GetInt32();

    public IReadOnlyList<JsonElement> Registrations => [.. OfKind("registration").Select(one => one.GetProperty("body"))];

    /// <summary>The pages that a browser has opened, as the parameters of their addresses.</summary>
    public IReadOnlyList<JsonElement> Authorizations => [.. OfKind("authorization").Select(one => one.GetProperty("params"))];

    public IReadOnlyList<JsonElement> Revocations => OfKind("revocation");

    /// <summary>The requests to the token endpoint, but for those that only fetched a nonce or asked whether a user is done.</summary>
    public IReadOnlyList<JsonElement> TokenRequests =>
        [.. OfKind("token").Where(one => !one.TryGetProperty("error", out var error) || error.GetString() is not ("use_dpop_nonce" or "authorization_pending" or "slow_down"))];

    /// <summary>The requests with a grant.</summary>
    public IReadOnlyList<JsonElement> Grants(string type) => [.. TokenRequests.Where(one => one.GetProperty("params").Text("grant_type") == type)];

    public IReadOnlyList<JsonElement> OfKind(string kind) => [.. seen.GetProperty("events").EnumerateArray().Where(one => one.Text("kind") == kind)];

    public override string ToString() => seen.ToString();
}
