namespace McpProxy.JsonRpc;

/// <summary>The sort of JSON value that a <see cref="JsonRpcId"/> is.</summary>
public enum JsonRpcIdKind
{
    /// <summary>There is no id.</summary>
    None,

    /// <summary>JSON <c>null</c>: what an error reply carries when the request's id could not be read.</summary>
    Null,

    /// <summary>An integer that fits 64 bits.</summary>
    Integer,

    /// <summary>Any other number; compared by its text.</summary>
    Number,

    /// <summary>A string.</summary>
    String,
}
