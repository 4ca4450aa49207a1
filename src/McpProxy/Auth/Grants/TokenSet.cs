namespace McpProxy.Auth.Grants;

/// <summary>Tokens as an authorization server issued them.</summary>
internal sealed record TokenSet(string AccessToken)
{
    private static readonly TimeSpan s_ahead = TimeSpan.FromSeconds(60);

    /// <summary>Whether the token is bound to a key (<c>token_type</c> "DPoP").</summary>
    public bool IsDpop { get; init; }

    public string? RefreshToken { get; init; }

    public DateTimeOffset ObtainedAt { get; init; }

    /// <summary>When the access token ends; null when the server did not say.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>What was asked for, and what was granted besides.</summary>
    public ScopeSet Scope { get; init; } = ScopeSet.None;

    /// <summary>The client that they were issued to.</summary>
    public string ClientId { get; init; } = "";

    /// <summary>Whether they are so near their end that they should be renewed: clocks differ, and requests take time.</summary>
    public bool IsDue(DateTimeOffset now) =>
        ExpiresAt is { } end && now >= end - (ObtainedAt < end && (end - ObtainedAt) / 4 < s_ahead ? (end - ObtainedAt) / 4 : s_ahead);

    /// <summary>Whether they have ended by this machine's clock.</summary>
    public bool IsOver(DateTimeOffset now) => ExpiresAt is { } end && now >= end;

    public override string ToString() => "tokens";
}
