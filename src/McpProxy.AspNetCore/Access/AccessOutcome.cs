namespace McpProxy.AspNetCore.Access;

/// <summary>What became of a credential.</summary>
internal enum AccessOutcome
{
    /// <summary>It is good.</summary>
    Admitted,

    /// <summary>It is not: 401.</summary>
    Refused,

    /// <summary>It is good, for less than is asked for: 403.</summary>
    InsufficientScope,

    /// <summary>It cannot be checked now, which is not the client's fault: 503.</summary>
    Unavailable,
}
