using McpProxy.Auth.Grants;

namespace McpProxy.Auth.Store;

/// <summary>Issued tokens. Times are in Unix milliseconds.</summary>
internal sealed record StoredTokens
{
    public string AccessToken { get; init; } = "";

    public string TokenType { get; init; } = "Bearer";

    public string? RefreshToken { get; init; }

    public string? Scope { get; init; }

    public string ClientId { get; init; } = "";

    public long ObtainedAt { get; init; }

    public long? ExpiresAt { get; init; }

    public static StoredTokens Of(TokenSet tokens) => new()
    {
        AccessToken = tokens.AccessToken,
        TokenType = tokens.IsDpop ? "DPoP" : "Bearer",
        RefreshToken = tokens.RefreshToken,
        Scope = tokens.Scope.ToParameter(),
        ClientId = tokens.ClientId,
        ObtainedAt = tokens.ObtainedAt.ToUnixTimeMilliseconds(),
        ExpiresAt = tokens.ExpiresAt?.ToUnixTimeMilliseconds(),
    };

    public TokenSet ToTokens() => new(AccessToken)
    {
        IsDpop = string.Equals(TokenType, "DPoP", StringComparison.OrdinalIgnoreCase),
        RefreshToken = RefreshToken,
        Scope = ScopeSet.Parse(Scope),
        ClientId = ClientId,
        ObtainedAt = UnixTime.FromMilliseconds(ObtainedAt) ?? default,
        ExpiresAt = UnixTime.FromMilliseconds(ExpiresAt),
    };
}
