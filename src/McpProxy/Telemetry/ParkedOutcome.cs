namespace McpProxy.Telemetry;

/// <summary>What became of a call that waited for a client's answers to a server's questions.</summary>
internal enum ParkedOutcome
{
    /// <summary>The client has answered, and the call went on.</summary>
    Answered,

    /// <summary>The client, or its user, would not.</summary>
    Refused,

    /// <summary>The client has not come back in time.</summary>
    Expired,

    /// <summary>The client has given the call up, or is gone.</summary>
    Cancelled,

    /// <summary>The server ended meanwhile.</summary>
    ServerGone,

    /// <summary>It was not asked at all: too many calls waited.</summary>
    BoundReached,
}
