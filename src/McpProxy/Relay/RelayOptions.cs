namespace McpProxy.Relay;

/// <summary>How a relay session behaves.</summary>
public sealed class RelayOptions
{
    /// <summary>How long requests in flight may take to be answered after the client's input has ended. Default: 10 s.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The requests of the client that may be in flight at once; more are refused with an error. Default: 4096.</summary>
    public int MaxRequestsInFlight { get; init; } = 4096;

    /// <summary>
    /// How long the server may be silent about a request before the client gets an error (-32001) and the server a cancellation; progress, log
    /// messages and questions that belong to the request start it anew, and it stands still while the client owes an answer to one. Null: no limit.
    /// </summary>
    public TimeSpan? RequestTimeout { get; init; }

    /// <summary>
    /// How long a request may take with all its progress, once <see cref="RequestTimeout"/> is set. Null: ten times that.
    /// </summary>
    public TimeSpan? MaxRequestTime { get; init; }

    /// <summary>Who is told that something passes; null for nobody.</summary>
    internal IActivity? Activity { get; set; }
}
