namespace McpProxy.Transports.Http.Plain;

/// <summary>How a response says where its body ends (RFC 9112, section 6.3).</summary>
internal enum BodyFraming
{
    /// <summary>There is none.</summary>
    None,

    /// <summary>After so many bytes.</summary>
    Length,

    /// <summary>With a chunk of no bytes.</summary>
    Chunked,

    /// <summary>With the connection.</summary>
    UntilClose,
}
