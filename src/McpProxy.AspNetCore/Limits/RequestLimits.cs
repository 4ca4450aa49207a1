namespace McpProxy.AspNetCore.Limits;

/// <summary>How much clients may ask for. Beyond, they get 429 with <c>Retry-After</c> and a JSON-RPC error, and nothing else is touched.</summary>
public sealed record RequestLimits
{
    /// <summary>The deepest nesting of a client's message; deeper is 400. Default: 128 levels. At most <see cref="JsonRpc.JsonRpcMessage.MaxDepth"/>.</summary>
    public int MaxJsonDepth { get; init; } = 128;

    /// <summary>
    /// Requests of one session that may be in flight at once. Answers to the server's questions are always taken. Default: 256, more
    /// than clients that fan out need, and few enough that one of them cannot fill a server for the others. 0: no limit but the relay's.
    /// </summary>
    public int MaxRequestsPerSession { get; init; } = 256;

    /// <summary>
    /// Requests of one client that may be in flight at once, in all its sessions; open event streams and <c>subscriptions/listen</c> are
    /// not counted. A client is who authenticated, else a remote address. Default: 0, no limit.
    /// </summary>
    public int MaxRequestsPerClient { get; init; }

    /// <summary>
    /// Requests that a client may make in a second, in the long run. Answers to the server's questions have as much again for
    /// themselves. Default: 0, no limit.
    /// </summary>
    public double RequestsPerSecond { get; init; }

    /// <summary>Requests that a client may make at once after a pause. Default: 0, which means twice the rate and at least 10: what clients send at their start.</summary>
    public int Burst { get; init; }

    internal double EffectiveBurst => Burst > 0 ? Burst : Math.Max(10, 2 * RequestsPerSecond);
}
