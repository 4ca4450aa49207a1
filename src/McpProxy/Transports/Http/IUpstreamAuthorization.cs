namespace McpProxy.Transports.Http;

/// <summary>Gives requests to an upstream the credentials that it asks for. Shared by all sessions with it.</summary>
internal interface IUpstreamAuthorization
{
    /// <summary>What the next request carries; null when there is nothing yet. Renews what is about to end.</summary>
    /// <param name="occasion">Why the request is made: it decides how long to wait for a renewal.</param>
    /// <param name="cancellationToken">Stops waiting; a renewal under way goes on.</param>
    /// <exception cref="UpstreamHttpException">What there was has ended and cannot be renewed now.</exception>
    ValueTask<IRequestCredential?> CredentialAsync(RequestOccasion occasion, CancellationToken cancellationToken);

    /// <summary>Sees to better credentials after the upstream answered 401 or 403.</summary>
    /// <param name="refusal">The answer.</param>
    /// <param name="attempt">What was tried for this request; each answer adds to it.</param>
    /// <param name="occasion">Why the request is made: it decides whether the user may be asked, and how long to wait.</param>
    /// <param name="cancellationToken">Stops waiting; a sign-in under way goes on.</param>
    /// <returns>Whether to send the request again; false when the refusal is the last word.</returns>
    /// <exception cref="UpstreamHttpException">There are none, or not yet.</exception>
    Task<bool> AnswerAsync(HttpResponseMessage refusal, AuthorizationAttempt attempt, RequestOccasion occasion, CancellationToken cancellationToken);
}
