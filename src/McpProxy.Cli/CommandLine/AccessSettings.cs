using McpProxy.AspNetCore.Access;
using McpProxy.AspNetCore.Access.Tls;

namespace McpProxy.Cli.CommandLine;

/// <summary>Who may come in over HTTP, and how the way is protected.</summary>
internal sealed record AccessSettings
{
    /// <summary>The ways in; null: everybody who reaches the port is let in.</summary>
    public InboundAuthenticationOptions? Authentication { get; init; }

    /// <summary>The files that TLS is served with; null: plain HTTP.</summary>
    public TlsFiles? Tls { get; init; }
}
