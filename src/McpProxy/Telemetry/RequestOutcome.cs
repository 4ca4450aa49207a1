namespace McpProxy.Telemetry;

/// <summary>What became of a client's request.</summary>
internal enum RequestOutcome
{
    /// <summary>It was answered with a result.</summary>
    Ok,

    /// <summary>It was answered with an error, of the server's or of the proxy's.</summary>
    Error,

    /// <summary>The client gave it up.</summary>
    Cancelled,

    /// <summary>The server took longer than it may.</summary>
    TimedOut,

    /// <summary>It was not passed on: a limit was reached, or the id is in use.</summary>
    Refused,
}
