using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;

namespace McpProxy.Auth.Grants;

/// <summary>The grants in which no user takes part: client credentials, an assertion of someone else, the organisation's identity provider.</summary>
internal sealed class DirectGrant(OAuthContext context)
{
    private const string JwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";

    /// <summary>Requests tokens.</summary>
    /// <param name="resource">What the server says about itself; null when it need not be asked.</param>
    /// <param name="scope">The scopes that are needed.</param>
    /// <param name="dpop">The key to bind the tokens to; null for none.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="OAuthException">There are none.</exception>
    public async Task<AccessCredential> RequestAsync(ProtectedResource? resource, ScopeSet scope, DpopKey? dpop, CancellationToken cancellationToken)
    {
        var options = context.Options;
        var server = options.TokenEndpoint is { } endpoint
            ? new AuthorizationServer(UpstreamIssuer(endpoint)) { TokenEndpoint = endpoint }
            : await FindServerAsync(resource!, cancellationToken);
        var client = options.Client is { } given
            ? given.Issuer is null || given.Issuer == server.Issuer || options.TokenEndpoint is not null ? given
                : throw new OAuthException(OAuthFailure.Unusable, $"the client {given.Id} is registered with {given.Issuer}, not with {server.Issuer}")
            : options.ClientMetadataUrl is { } url ? new OAuthClient(url.OriginalString)
            : options.Grant == OAuthGrant.JwtBearer ? null
            : throw new OAuthException(OAuthFailure.Unusable, "this way to sign in needs a client: --client-id, and --client-secret or --client-key");
        var parameter = context.ResourceParameter(resource);
        var asked = ScopeSet.Parse(options.Scope) is { IsEmpty: false } own ? own : scope.IsEmpty ? resource?.ScopesSupported ?? ScopeSet.None : scope;
        var form = options.Grant switch
        {
            OAuthGrant.JwtBearer => OAuthContext.Form(JwtBearer, parameter, asked, ("assertion", ReadFile(options.AssertionFile!, "--assertion-file"))),
            OAuthGrant.EnterpriseManaged => OAuthContext.Form(JwtBearer, parameter, asked, ("assertion", await ExchangeIdTokenAsync(server, parameter, asked, cancellationToken))),
            _ => OAuthContext.Form("client_credentials", parameter, asked),
        };

        // An assertion says by itself who it is for; a client id is sent along where there is one.
        var tokens = await context.Tokens.RequestAsync(server, client ?? new OAuthClient("") { AuthMethod = "none" }, form, asked, dpop, cancellationToken);
        return new(tokens, server.Issuer, parameter, tokens.IsDpop ? dpop : null, context.Time);
    }

    /// <summary>Reads a token that another program keeps up to date.</summary>
    /// <exception cref="OAuthException">There is none.</exception>
    public static string ReadFile(string path, string option)
    {
        try
        {
            return File.ReadAllText(path).Trim() is { Length: > 0 } text ? text : throw new OAuthException(OAuthFailure.Unusable, $"{option}: {path} is empty");
        }
        catch (Exception e) when (e is IOException and not OAuthException or UnauthorizedAccessException)
        {
            throw new OAuthException(OAuthFailure.Unusable, $"{option} cannot be read: {e.Message}");
        }
    }

    private static string UpstreamIssuer(Uri endpoint) => Transports.Http.UpstreamHttpClient.Describe(endpoint);

    private Task<AuthorizationServer> FindServerAsync(ProtectedResource resource, CancellationToken cancellationToken)
    {
        var issuers = context.Options.Client?.Issuer is { } known && resource.AuthorizationServers.Contains(known, StringComparer.Ordinal) ? [known] : resource.AuthorizationServers;
        return context.Discovery.FindFirstServerAsync(issuers, resource.IsImplied, check: null, cancellationToken);
    }

    /// <summary>Has the identity provider grant access: an ID token for an assertion to the server's authorization server (RFC 8693; "ID-JAG").</summary>
    private async Task<string> ExchangeIdTokenAsync(AuthorizationServer audience, string? resource, ScopeSet scope, CancellationToken cancellationToken)
    {
        const string IdJag = "urn:ietf:params:oauth:token-type:id-jag";
        var idp = context.Options.IdentityProvider!;
        var server = idp.TokenEndpoint is { } endpoint
            ? new AuthorizationServer(idp.Issuer ?? UpstreamIssuer(endpoint)) { TokenEndpoint = endpoint }
            : await context.Discovery.FindServerAsync(idp.Issuer!, isImplied: false, cancellationToken);
        var form = OAuthContext.Form(
            "urn:ietf:params:oauth:grant-type:token-exchange",
            resource,
            scope,
            ("requested_token_type", IdJag),
            ("audience", audience.Issuer),
            ("subject_token", ReadFile(idp.IdTokenFile, "--idp-id-token-file")),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"));
        var answer = await context.Tokens.SendAsync(server, new OAuthClient(idp.ClientId) { Secret = idp.ClientSecret }, form, dpop: null, cancellationToken);
        var type = answer.String("issued_token_type");
        return answer.String("access_token") is { Length: > 0 } assertion && type is null or IdJag
            ? assertion
            : throw new OAuthException(OAuthFailure.Unusable, $"the identity provider {server.Issuer} issued something else than an ID-JAG: {OAuthErrors.Describe(type ?? "nothing", null)}");
    }
}
