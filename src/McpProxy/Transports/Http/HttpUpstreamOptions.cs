using McpProxy.Auth;

namespace McpProxy.Transports.Http;

/// <summary>How to reach a server over HTTP.</summary>
public sealed class HttpUpstreamOptions
{
    /// <summary>The server's URL, <c>http</c> or <c>https</c>.</summary>
    public required Uri Url { get; init; }

    /// <summary>Which transports to try. Default: Streamable HTTP, then HTTP+SSE.</summary>
    public HttpTransportChoice Transport { get; init; }

    /// <summary>Headers sent with every request to the server; they never go to another origin.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers { get; init; } = [];

    /// <summary>How long an upstream that does not accept connections is tried again, and how long one attempt may take. Default: 30 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a server may take to begin its answer to a request. Default: no limit, since a server that answers in
    /// JSON begins when it is done. What the proxy asks for itself is always bounded by 30 s.
    /// </summary>
    public TimeSpan HeadersTimeout { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>The longest message accepted from the server, in bytes.</summary>
    public int MaxMessageSize { get; init; } = TransportDefaults.MaxMessageSize;

    /// <summary>How to sign in when the server asks for it; null not to, so that its refusal goes to the client.</summary>
    public OAuthOptions? OAuth { get; init; }

    /// <summary>How connections are made, to the server and to those who authorize for it.</summary>
    public NetworkOptions Network { get; init; } = new();
}
