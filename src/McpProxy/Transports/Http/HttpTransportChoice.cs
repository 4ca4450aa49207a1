namespace McpProxy.Transports.Http;

/// <summary>Which HTTP transports of an upstream to try, and in which order.</summary>
public enum HttpTransportChoice
{
    /// <summary>Streamable HTTP first; HTTP+SSE when the first POST is refused with a 4xx other than 401 and 403.</summary>
    StreamableHttpFirst,

    /// <summary>HTTP+SSE first; Streamable HTTP when its GET is refused with a 4xx other than 401 and 403.</summary>
    SseFirst,

    /// <summary>Streamable HTTP only.</summary>
    StreamableHttpOnly,

    /// <summary>HTTP+SSE only.</summary>
    SseOnly,
}
