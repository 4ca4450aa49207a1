namespace McpProxy.Auth.Discovery;

/// <summary>An authorization server's metadata (RFC 8414, OpenID Connect Discovery 1.0), as far as a client needs it.</summary>
internal sealed record AuthorizationServer(string Issuer)
{
    public Uri? AuthorizationEndpoint { get; init; }

    public Uri? TokenEndpoint { get; init; }

    public Uri? RegistrationEndpoint { get; init; }

    public Uri? DeviceAuthorizationEndpoint { get; init; }

    public Uri? RevocationEndpoint { get; init; }

    /// <summary>Where the keys are that it signs tokens with.</summary>
    public Uri? JwksUri { get; init; }

    /// <summary>The ways to authenticate at the token endpoint; null when it does not say.</summary>
    public IReadOnlyList<string>? TokenEndpointAuthMethods { get; init; }

    /// <summary>The algorithms of signed client assertions; null when it does not say.</summary>
    public IReadOnlyList<string>? TokenEndpointAuthAlgorithms { get; init; }

    public IReadOnlyList<string>? GrantTypes { get; init; }

    public ScopeSet ScopesSupported { get; init; } = ScopeSet.None;

    /// <summary>The PKCE methods; null when it does not say.</summary>
    public IReadOnlyList<string>? CodeChallengeMethods { get; init; }

    /// <summary>Whether authorization responses name their issuer (RFC 9207).</summary>
    public bool SendsIssuer { get; init; }

    public bool SupportsClientMetadataDocuments { get; init; }

    /// <summary>The algorithms of DPoP proofs; null when it does not say.</summary>
    public IReadOnlyList<string>? DpopAlgorithms { get; init; }

    /// <summary>Whether there was no metadata, and the endpoints are those of MCP 2025-03-26, "Fallbacks".</summary>
    public bool IsImplied { get; init; }

    /// <summary>Reads a metadata document, which has already been checked to be this issuer's.</summary>
    public static AuthorizationServer Read(string issuer, OAuthDocument document) => new(issuer)
    {
        AuthorizationEndpoint = Endpoint(document, "authorization_endpoint"),
        TokenEndpoint = Endpoint(document, "token_endpoint"),
        RegistrationEndpoint = Endpoint(document, "registration_endpoint"),
        DeviceAuthorizationEndpoint = Endpoint(document, "device_authorization_endpoint"),
        RevocationEndpoint = Endpoint(document, "revocation_endpoint"),
        JwksUri = Endpoint(document, "jwks_uri"),
        TokenEndpointAuthMethods = document.Strings("token_endpoint_auth_methods_supported"),
        TokenEndpointAuthAlgorithms = document.Strings("token_endpoint_auth_signing_alg_values_supported"),
        GrantTypes = document.Strings("grant_types_supported"),
        ScopesSupported = ScopeSet.Of(document.Strings("scopes_supported") ?? []),
        CodeChallengeMethods = document.Strings("code_challenge_methods_supported"),
        SendsIssuer = document.Flag("authorization_response_iss_parameter_supported"),
        SupportsClientMetadataDocuments = document.Flag("client_id_metadata_document_supported"),
        DpopAlgorithms = document.Strings("dpop_signing_alg_values_supported"),
    };

    private static Uri? Endpoint(OAuthDocument document, string name) =>
        Uri.TryCreate(document.String(name), UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" ? uri : null;
}
