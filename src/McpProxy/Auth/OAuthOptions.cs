using McpProxy.Auth.Clients;
using McpProxy.Auth.Store;

namespace McpProxy.Auth;

/// <summary>How to sign in to a server (MCP 2026-07-28, "Authorization"). The defaults sign in through the browser, to any server that follows the specification.</summary>
public sealed class OAuthOptions
{
    /// <summary>How tokens are obtained. Default: the authorization code grant, in the browser.</summary>
    public OAuthGrant Grant { get; init; }

    /// <summary>A client that the user registered with the authorization server; null to use <see cref="ClientMetadataUrl"/> or dynamic registration.</summary>
    public OAuthClient? Client { get; init; }

    /// <summary>The https URL of a Client ID Metadata Document, used where the authorization server supports them.</summary>
    public Uri? ClientMetadataUrl { get; init; }

    /// <summary>JSON text of an object whose members go into the dynamic registration request (RFC 7591) in place of the proxy's own; null for none.</summary>
    public string? RegistrationMetadata { get; init; }

    /// <summary>The PEM text of the private key with which the client authenticates (<c>private_key_jwt</c>, RFC 7523); EC or RSA.</summary>
    public string? ClientKey { get; init; }

    /// <summary>The <c>kid</c> of <see cref="ClientKey"/>, where the authorization server needs it.</summary>
    public string? ClientKeyId { get; init; }

    /// <summary>The scopes to ask for, with spaces between them. Default: those that the server's challenge or metadata names.</summary>
    public string? Scope { get; init; }

    /// <summary>The <c>resource</c> parameter (RFC 8707): null for the server's own identifier, empty to leave it out everywhere.</summary>
    public string? Resource { get; init; }

    /// <summary>Parameters added to the authorization request, such as <c>access_type=offline</c>.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> AuthorizeParameters { get; init; } = [];

    /// <summary>The token endpoint, to leave out discovery; only for grants without a browser.</summary>
    public Uri? TokenEndpoint { get; init; }

    /// <summary>The file with the JWT that <see cref="OAuthGrant.JwtBearer"/> presents; read again for each request.</summary>
    public string? AssertionFile { get; init; }

    /// <summary>The organisation's identity provider, for <see cref="OAuthGrant.EnterpriseManaged"/>.</summary>
    public IdentityProviderOptions? IdentityProvider { get; init; }

    /// <summary>The host in the redirect URI; null for that of the registration, or <c>localhost</c>. An IP address that is not loopback is also the address to listen on.</summary>
    public string? CallbackHost { get; init; }

    /// <summary>The port that the browser comes back to; null for one that stays the same for the server. A given port is not replaced when it is in use, nor where browsers block it.</summary>
    public int? CallbackPort { get; init; }

    /// <summary>The path in the redirect URI; null for that of the registration, or <c>/oauth/callback</c>.</summary>
    public string? CallbackPath { get; init; }

    /// <summary>Where the browser is sent after a sign-in that worked; null for a page of the proxy.</summary>
    public Uri? SuccessUrl { get; init; }

    /// <summary>How long one sign-in may take. Default: 5 minutes.</summary>
    public TimeSpan SignInTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a request waits for a sign-in before it fails with an error that carries the URL to sign in at. Default: 30 s.</summary>
    public TimeSpan RequestWait { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Tells several accounts for one server apart; null for the only one.</summary>
    public string? Profile { get; init; }

    /// <summary>Where tokens are kept. Default: in files, sealed by a key in the operating system's keychain where there is one.</summary>
    public TokenStoreKind Store { get; init; }

    /// <summary>The folder of the store; null for <c>~/.mcp-auth</c>, or what <c>MCP_REMOTE_CONFIG_DIR</c> names.</summary>
    public string? StoreFolder { get; init; }

    /// <summary>Whether to open the browser. The URL is announced in any case. Default: true.</summary>
    public bool OpenBrowser { get; init; } = true;

    /// <summary>Whether sign-ins over plain http are accepted where that is not on this machine. Default: false.</summary>
    public bool AllowHttp { get; init; }

    /// <summary>The headers as the user typed them, by which mcp-remote's stored sign-ins are found.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> HeadersAsTyped { get; init; } = [];
}
