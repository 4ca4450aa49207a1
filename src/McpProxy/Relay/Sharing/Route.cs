using McpProxy.JsonRpc;

namespace McpProxy.Relay.Sharing;

/// <summary>One request in flight on a shared connection: whose it is and what it was called there.</summary>
/// <param name="Lane">The client; null when the proxy asks on its own account.</param>
/// <param name="Id">The request's id at the client.</param>
/// <param name="ProgressToken">Its progress token there, or none.</param>
/// <param name="AsksForLogs">Whether it asked for log messages, as a request of the modern era does.</param>
/// <param name="IsCall">Whether it runs code of the server's author, which may ask and log.</param>
internal sealed record Route(SharedLane? Lane, JsonRpcId Id, JsonRpcId ProgressToken = default, bool AsksForLogs = false, bool IsCall = false)
{
    /// <summary>Told the answer, before the client is; the error when none came.</summary>
    public Action<JsonRpcMessage>? Answered { get; init; }

    /// <summary>Its place among all that came.</summary>
    public long Order { get; set; }
}
