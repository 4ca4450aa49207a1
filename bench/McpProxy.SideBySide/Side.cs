namespace McpProxy.SideBySide;

/// <summary>Which way a program is used.</summary>
internal enum Side
{
    /// <summary>A client on stdio, a server on Streamable HTTP.</summary>
    Connecting,

    /// <summary>A client on Streamable HTTP, a server on stdio.</summary>
    Serving,
}
