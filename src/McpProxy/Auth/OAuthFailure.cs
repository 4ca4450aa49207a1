namespace McpProxy.Auth;

/// <summary>Why no token could be had.</summary>
internal enum OAuthFailure
{
    /// <summary>The network, or a server that will be better later: everything stored is kept.</summary>
    Temporary,

    /// <summary>What a server says is against the specification, or cannot work with this client.</summary>
    Unusable,

    /// <summary>The grant is no longer good (<c>invalid_grant</c>): the tokens are of no use.</summary>
    InvalidGrant,

    /// <summary>The client is not known any more (<c>invalid_client</c>): its registration is of no use.</summary>
    InvalidClient,

    /// <summary>The user or the authorization server said no, or nobody answered in time.</summary>
    Denied,
}
