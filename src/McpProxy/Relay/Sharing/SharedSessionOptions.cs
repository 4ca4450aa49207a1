using McpProxy.JsonRpc;

namespace McpProxy.Relay.Sharing;

/// <summary>How the sessions of several clients are kept on one session with a legacy server.</summary>
public sealed class SharedSessionOptions
{
    /// <summary>
    /// What the proxy initialises the server with by itself. Null: the first client's <c>initialize</c> is sent, and its answer is every client's.
    /// </summary>
    public JsonRpcMessage? Initialize { get; init; }
}
