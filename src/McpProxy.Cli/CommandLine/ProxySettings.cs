using McpProxy.AspNetCore;
using McpProxy.AspNetCore.Limits;
using McpProxy.AspNetCore.Operations;
using McpProxy.Eras;
using McpProxy.Relay;
using McpProxy.Transports.Http;
using McpProxy.Transports.Stdio;

namespace McpProxy.Cli.CommandLine;

/// <summary>What the command line asks for, checked.</summary>
internal sealed record ProxySettings
{
    /// <summary>The server behind a URL; null when it is a command.</summary>
    public HttpUpstreamOptions? Http { get; init; }

    /// <summary>The server to start; null when it is behind a URL.</summary>
    public StdioUpstreamOptions? Stdio { get; init; }

    /// <summary>The port to serve HTTP on; null to serve standard input and output.</summary>
    public int? Port { get; init; }

    /// <summary>The name or address to bind.</summary>
    public string Host { get; init; } = "127.0.0.1";

    /// <summary>How the server is offered over HTTP.</summary>
    public McpEndpointOptions Endpoint { get; init; } = new();

    /// <summary>Whether the program ends with a server that it has started.</summary>
    public bool ExitsWithChild { get; init; }

    /// <summary>Who may come in over HTTP.</summary>
    public AccessSettings Access { get; init; } = new();

    /// <summary>What is shown to who runs the program.</summary>
    public OperationsOptions Operations { get; init; } = new();

    /// <summary>What one connection of a client may cost.</summary>
    public ConnectionLimits Connections { get; init; } = new();

    /// <summary>The bounds of the relay.</summary>
    public RelayOptions Relay { get; init; } = new();

    /// <summary>How peers of different eras are brought together; null to relay messages as they are.</summary>
    public EraBridgeOptions? Bridge { get; init; }

    /// <summary>The longest message accepted, in bytes.</summary>
    public int MaxMessageSize { get; init; }

    /// <summary>What to log.</summary>
    public required LogSettings Log { get; init; }

    /// <summary>Said at start, when the command line works but most likely not as it was meant.</summary>
    public string? Hint { get; init; }
}
