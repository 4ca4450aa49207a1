namespace McpProxy.Relay;

/// <summary>How a relay session behaves.</summary>
public sealed class RelayOptions
{
    /// <summary>How long requests in flight may take to be answered after the client's input has ended. Default: 10 s.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The requests of the client that may be in flight at once; more are refused with an error. Default: 4096.</summary>
    public int MaxRequestsInFlight { get; init; } = 4096;
}
