namespace McpProxy.Auth;

/// <summary>No token could be had; the message is fit for a person and holds no secret.</summary>
internal sealed class OAuthException(OAuthFailure failure, string message) : IOException(message)
{
    public OAuthFailure Failure { get; } = failure;

    /// <summary>The OAuth error code that a server sent, or null.</summary>
    public string? Code { get; init; }
}
