namespace McpProxy.JsonRpc;

/// <summary>The JSON-RPC error codes that the proxy itself answers with.</summary>
public static class JsonRpcErrorCode
{
    /// <summary>There is no such session; the code that the official SDKs use for it.</summary>
    public const int SessionNotFound = -32001;

    /// <summary>The server took too long, by a limit of the proxy's; the code that the official SDKs use for their own limits.</summary>
    public const int RequestTimeout = -32001;

    /// <summary>The input is not JSON (JSON-RPC 2.0, section 5.1).</summary>
    public const int ParseError = -32700;

    /// <summary>The input is JSON, but no JSON-RPC message; or it breaks a rule of the transport.</summary>
    public const int InvalidRequest = -32600;

    /// <summary>The method does not exist.</summary>
    public const int MethodNotFound = -32601;

    /// <summary>The parameters are wrong; among them a modern request whose <c>_meta</c> lacks required members.</summary>
    public const int InvalidParams = -32602;

    /// <summary>The proxy could not get an answer: the upstream died, refused, or answered nonsense.</summary>
    public const int InternalError = -32603;

    /// <summary>The upstream cannot be reached or has gone.</summary>
    public const int UpstreamUnavailable = -32000;

    /// <summary>The upstream wants the user to sign in; <c>data.url</c> says where, when that is possible now.</summary>
    public const int SignInNeeded = -32010;

    /// <summary>HTTP headers that do not match the body (MCP 2026-07-28, Streamable HTTP, "Server Validation").</summary>
    public const int HeaderMismatch = -32020;

    /// <summary>The client lacks a capability that the request needs (MCP 2026-07-28).</summary>
    public const int MissingClientCapability = -32021;

    /// <summary>The protocol version is not supported (MCP 2026-07-28, "Versioning").</summary>
    public const int UnsupportedProtocolVersion = -32022;

    /// <summary>Whether only a server of the modern era sends this code.</summary>
    public static bool IsModern(int code) => code is HeaderMismatch or MissingClientCapability or UnsupportedProtocolVersion;
}
