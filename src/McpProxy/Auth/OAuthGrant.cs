namespace McpProxy.Auth;

/// <summary>How tokens are obtained.</summary>
public enum OAuthGrant
{
    /// <summary>The user signs in with the browser of this machine (RFC 6749 section 4.1 with PKCE).</summary>
    AuthorizationCode,

    /// <summary>The user signs in with a browser anywhere and types in a code (RFC 8628).</summary>
    DeviceCode,

    /// <summary>The client signs in as itself (RFC 6749 section 4.4; MCP extension "OAuth Client Credentials").</summary>
    ClientCredentials,

    /// <summary>A JWT issued by someone else is presented (RFC 7523 section 2.1): workload identity federation.</summary>
    JwtBearer,

    /// <summary>The organisation's identity provider grants access (MCP extension "Enterprise-Managed Authorization").</summary>
    EnterpriseManaged,
}
