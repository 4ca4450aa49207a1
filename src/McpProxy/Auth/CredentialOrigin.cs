namespace McpProxy.Auth;

/// <summary>Where tokens come from: it decides what their refusal means.</summary>
internal enum CredentialOrigin
{
    /// <summary>The store: they may have ended or been revoked long ago.</summary>
    Stored,

    /// <summary>A renewal in this process: refused, the grant is of no use, and the user has to sign in.</summary>
    Renewed,

    /// <summary>A grant in this process: refused, another one would be too.</summary>
    Granted,
}
