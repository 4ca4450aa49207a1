using McpProxy.AspNetCore.Limits;
using McpProxy.Eras;
using McpProxy.Relay;
using McpProxy.Transports;

namespace McpProxy.AspNetCore;

/// <summary>How a server is offered over HTTP.</summary>
public sealed record McpEndpointOptions
{
    /// <summary>Path of the Streamable HTTP endpoint. Default: <c>/mcp</c>. Null: not offered.</summary>
    public string? StreamableHttpPath { get; set; } = "/mcp";

    /// <summary>Path of the HTTP+SSE event stream. Default: <c>/sse</c>. Null: HTTP+SSE is not offered.</summary>
    public string? SsePath { get; set; } = "/sse";

    /// <summary>Path that HTTP+SSE messages are posted to. Default: <c>/messages</c>.</summary>
    public string MessagesPath { get; set; } = "/messages";

    /// <summary>
    /// What clients see in front of the paths, when a reverse proxy adds something: a whole URL, or a path. It is named in the
    /// <c>endpoint</c> event of HTTP+SSE, and its host is accepted in <c>Host</c> and <c>Origin</c>.
    /// </summary>
    public Uri? BaseUrl { get; set; }

    /// <summary>Host names accepted in <c>Host</c>, besides the loopback names and the address that the client connected to.</summary>
    public IReadOnlyList<string> AllowedHosts { get; set; } = [];

    /// <summary>Origins accepted in <c>Origin</c> (<c>https://example.com</c>), besides loopback ones; <c>*</c> accepts all. Pages of these origins may also read the answers (CORS).</summary>
    public IReadOnlyList<string> AllowedOrigins { get; set; } = [];

    /// <summary>The longest message accepted, in bytes.</summary>
    public int MaxMessageSize { get; set; } = TransportDefaults.MaxMessageSize;

    /// <summary>Sessions that may exist at once; beyond, a new one is refused with 503. Default: 1000.</summary>
    public int MaxSessions { get; set; } = 1000;

    /// <summary>How sessions of the legacy era and servers that are started belong together. Default: each session has its own.</summary>
    public SessionMode SessionMode { get; set; } = SessionMode.ServerPerSession;

    /// <summary>How many servers, at most, serve requests without a session in <see cref="SessionMode.Stateless"/> (for each protocol version that clients speak). Default: 4.</summary>
    public int StatelessServers { get; set; } = 4;

    /// <summary>How many servers are kept started in advance, so that a new session does not wait for one. Default: 0.</summary>
    public int WarmServers { get; set; }

    /// <summary>Headers of the client's requests, and the variables of the server's environment that their values become. Default: none.</summary>
    /// <remarks>Sessions that bring different values never share a server. The server must be a command (<see cref="Transports.Stdio.StdioUpstream"/>).</remarks>
    public IReadOnlyDictionary<string, string> HeaderEnvironment { get; set; } = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

    /// <summary>How long a session may have neither a stream nor a request before it is ended. Default: 30 min.</summary>
    public TimeSpan SessionIdleTimeout { get; set; } = TimeSpan.FromMinutes(30);

    /// <summary>The longest silence on an open stream before a comment is sent, so that nothing between takes it for dead. Default: 15 s.</summary>
    public TimeSpan KeepAliveInterval { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>Events that a session keeps for a client that comes back with <c>Last-Event-ID</c>. Default: 1000.</summary>
    public int ReplayMaxEvents { get; set; } = 1000;

    /// <summary>Bytes that those events may have. A larger one is kept until it has been sent. Default: 1 MiB.</summary>
    public int ReplayMaxBytes { get; set; } = 1024 * 1024;

    /// <summary>
    /// Bytes that the events of all sessions may have together; the sessions that have kept none for the longest lose theirs first. Default: 64 MiB.
    /// </summary>
    public long ReplayMaxTotalBytes { get; set; } = 64 * 1024 * 1024;

    /// <summary>How clients of one era are brought together with a server of the other. Null (the default): they are not, every message is relayed as it is.</summary>
    public EraBridgeOptions? Bridge { get; set; }

    /// <summary>Who decides which requests come in, asked in this order; all must agree. Default: none, every request comes in.</summary>
    public IReadOnlyList<IRequestGate> Gates { get; set; } = [];

    /// <summary>How much clients may ask for; checked once the gates have let a request in.</summary>
    public RequestLimits Limits { get; set; } = new();

    /// <summary>The bounds of each session's relay.</summary>
    public RelayOptions Relay { get; set; } = new();

    /// <summary>Whether the program has checked <c>Host</c> and <c>Origin</c> of every request, and dealt with CORS, before the endpoint sees it.</summary>
    internal bool IsBehindFrontDoor { get; set; }

    /// <summary>
    /// Whether a request goes on where its answer was written, which saves a change of threads: for a program that has nothing in its requests' way that blocks.
    /// </summary>
    internal bool ContinuesInline { get; set; }
}
