namespace McpProxy.AspNetCore.Access.Tokens;

/// <summary>A token whose signature was found good.</summary>
/// <param name="Decision">What it is good for.</param>
/// <param name="Keys">The keys that it was checked with; with others it is checked again.</param>
/// <param name="Issuer">Whose keys those are.</param>
/// <param name="Until">When it has to be checked again.</param>
internal sealed record CheckedToken(AccessDecision Decision, SigningKeys Keys, IssuerKeys Issuer, DateTimeOffset Until);
