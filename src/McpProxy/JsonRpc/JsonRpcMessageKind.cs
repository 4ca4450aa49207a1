namespace McpProxy.JsonRpc;

/// <summary>The three things a JSON-RPC message can be.</summary>
public enum JsonRpcMessageKind
{
    /// <summary>Has a method and an id: exactly one response is owed.</summary>
    Request,

    /// <summary>Has a method and no id.</summary>
    Notification,

    /// <summary>Has a result or an error, and the id of the request that it answers.</summary>
    Response,
}
