using McpProxy.Transports.Http;

namespace McpProxy.AspNetCore.Access;

/// <summary>How clients show who they are. Several ways may be offered; any one lets a client in.</summary>
public sealed class InboundAuthenticationOptions
{
    /// <summary>Keys, sent as <c>Authorization: Bearer KEY</c> or <c>X-API-Key: KEY</c>. Each is a client of its own.</summary>
    public IReadOnlyList<ApiKey> ApiKeys { get; init; } = [];

    /// <summary>Users with passwords (RFC 7617).</summary>
    public IReadOnlyList<BasicUser> BasicUsers { get; init; } = [];

    /// <summary>Access tokens of authorization servers; null: none are taken.</summary>
    public JwtAccessOptions? Jwt { get; init; }

    /// <summary>
    /// Whether a client's TLS certificate is enough. Set it only where the server checks certificates itself, as <see cref="Tls.ServerTls"/> does
    /// with an authority for clients.
    /// </summary>
    public bool AcceptsClientCertificates { get; init; }

    /// <summary>How authorization servers are reached.</summary>
    public NetworkOptions Network { get; init; } = new();

    /// <summary>Whether there is any way in at all.</summary>
    public bool HasAny => ApiKeys.Count > 0 || BasicUsers.Count > 0 || Jwt is not null || AcceptsClientCertificates;
}
