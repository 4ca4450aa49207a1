using System.Security.Claims;

namespace McpProxy.AspNetCore.Access;

/// <summary>What a scheme says to a credential.</summary>
/// <param name="Outcome">The decision.</param>
/// <param name="Reason">Why, for the log and the client; nothing of the credential is in it.</param>
internal sealed record AccessDecision(AccessOutcome Outcome, string Reason)
{
    /// <summary>Who the client is, when it is admitted.</summary>
    public ClaimsPrincipal? User { get; init; }

    /// <summary>When to try again, where a credential cannot be checked now.</summary>
    public TimeSpan RetryAfter { get; init; }

    public static AccessDecision Admitted(ClaimsPrincipal user) => new(AccessOutcome.Admitted, "") { User = user };

    public static AccessDecision Refused(string reason) => new(AccessOutcome.Refused, reason);
}
