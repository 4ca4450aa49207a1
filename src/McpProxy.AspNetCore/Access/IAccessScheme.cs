namespace McpProxy.AspNetCore.Access;

/// <summary>One way in which clients show who they are.</summary>
internal interface IAccessScheme
{
    /// <summary>What it is called in the log.</summary>
    string Name { get; }

    /// <summary>Decides about a credential.</summary>
    /// <param name="credentials">What the request carries.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>The decision; null when the request carries nothing of this kind.</returns>
    ValueTask<AccessDecision?> DecideAsync(PresentedCredentials credentials, CancellationToken cancellationToken);
}
