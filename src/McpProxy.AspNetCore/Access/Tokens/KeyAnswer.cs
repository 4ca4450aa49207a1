namespace McpProxy.AspNetCore.Access.Tokens;

/// <summary>What is known of an issuer's keys.</summary>
/// <param name="Keys">The keys; null when there never were any.</param>
/// <param name="IsCurrent">Whether the issuer could be asked lately, so that a key that is not among them does not exist.</param>
/// <param name="RetryAfter">When the issuer is asked again.</param>
internal readonly record struct KeyAnswer(SigningKeys? Keys, bool IsCurrent, TimeSpan RetryAfter);
