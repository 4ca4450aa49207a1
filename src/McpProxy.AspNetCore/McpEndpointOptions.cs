using McpProxy.AspNetCore.Limits;
using McpProxy.Relay;
using McpProxy.Transports;

namespace McpProxy.AspNetCore;

/// <summary>How a server is offered over HTTP.</summary>
public sealed class McpEndpointOptions
{
    /// <summary>Path of the Streamable HTTP endpoint. Default: <c>/mcp</c>. Null: not offered.</summary>
    public string? StreamableHttpPath { get; init; } = "/mcp";

    /// <summary>Path of the HTTP+SSE event stream. Default: <c>/sse</c>. Null: HTTP+SSE is not offered.</summary>
    public string? SsePath { get; init; } = "/sse";

    /// <summary>Path that HTTP+SSE messages are posted to. Default: <c>/messages</c>.</summary>
    public string MessagesPath { get; init; } = "/messages";

    /// <summary>
    /// What clients see in front of the paths, when a reverse proxy adds something: a whole URL, or a path. It is named in the
    /// <c>endpoint</c> event of HTTP+SSE, and its host is accepted in <c>Host</c> and <c>Origin</c>.
    /// </summary>
    public Uri? BaseUrl { get; init; }

    /// <summary>Host names accepted in <c>Host</c>, besides the loopback names and the address that the client connected to.</summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>Origins accepted in <c>Origin</c> (<c>https://example.com</c>), besides loopback ones; <c>*</c> accepts all. Pages of these origins may also read the answers (CORS).</summary>
    public IReadOnlyList<string> AllowedOrigins { get; init; } = [];

    /// <summary>The longest message accepted, in bytes.</summary>
    public int MaxMessageSize { get; init; } = TransportDefaults.MaxMessageSize;

    /// <summary>Sessions that may exist at once; beyond, a new one is refused with 503. Default: 1000.</summary>
    public int MaxSessions { get; init; } = 1000;

    /// <summary>How long a session may have neither a stream nor a request before it is ended. Default: 30 min.</summary>
    public TimeSpan SessionIdleTimeout { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>The longest silence on an open stream before a comment is sent, so that nothing between takes it for dead. Default: 15 s.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Events that a session keeps for a client that comes back with <c>Last-Event-ID</c>. Default: 1000.</summary>
    public int ReplayMaxEvents { get; init; } = 1000;

    /// <summary>Bytes that those events may have; the newest is kept in any case. Default: 1 MiB.</summary>
    public int ReplayMaxBytes { get; init; } = 1024 * 1024;

    /// <summary>Who decides which requests come in, asked in this order; all must agree. Default: none, every request comes in.</summary>
    public IReadOnlyList<IRequestGate> Gates { get; init; } = [];

    /// <summary>How much clients may ask for; checked once the gates have let a request in.</summary>
    public RequestLimits Limits { get; init; } = new();

    /// <summary>The bounds of each session's relay.</summary>
    public RelayOptions Relay { get; init; } = new();
}
