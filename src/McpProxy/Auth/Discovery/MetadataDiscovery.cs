using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.Discovery;

/// <summary>
/// Finds out who authorizes for a server (MCP 2026-07-28, "Authorization Server Discovery"; for older servers
/// MCP 2025-03-26, "Authorization").
/// </summary>
internal sealed partial class MetadataDiscovery(OAuthHttpClient http, Uri server, string? resourceOption, ILogger logger)
{
    /// <summary>The server's canonical URI (RFC 8707 section 2): what it is called where it does not name itself.</summary>
    public static string CanonicalUri(Uri server) =>
        server.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped) is var uri && server.AbsolutePath == "/" ? uri.TrimEnd('/') : uri;

    /// <summary>Finds the server's metadata.</summary>
    /// <param name="metadataUrl">Where a challenge says that it is; null when none says so.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="OAuthException">It cannot be had, or is not this server's.</exception>
    public async Task<ProtectedResource> FindResourceAsync(string? metadataUrl, CancellationToken cancellationToken)
    {
        OAuthException? failure = null;
        var named = Named(metadataUrl);
        foreach (var candidate in ResourceCandidates(named).Distinct())
        {
            try
            {
                var response = await http.GetAsync(candidate, cancellationToken);
                if (response is { IsSuccess: true, Document: { } document })
                {
                    return Read(document, candidate);
                }

                LogNothingThere(candidate.AbsoluteUri, (int)response.Status);
                if (IsTemporary(response) || candidate == named)
                {
                    // A server that says where its metadata is has some, whatever is the matter with it now.
                    failure = Worse(failure, new(
                        IsTemporary(response) ? OAuthFailure.Temporary : OAuthFailure.Unusable,
                        $"{UpstreamHttpClient.Describe(candidate)} answered HTTP {(int)response.Status} when asked how {UpstreamHttpClient.Describe(server)} is protected"));
                }
            }
            catch (OAuthException e) when (e.Failure == OAuthFailure.Temporary)
            {
                failure = Worse(failure, e);
            }
        }

        // Silence is no statement: only a server that says it has no metadata is taken for an old one.
        return failure is null
            ? new(CanonicalUri(server), [UpstreamHttpClient.Describe(server)], ScopesSupported: null, RequiresDpop: false, IsImplied: true)
            : throw failure;
    }

    /// <summary>Finds the first of several authorization servers that can be used.</summary>
    /// <param name="issuers">Their issuer identifiers, in order.</param>
    /// <param name="isImplied">Whether the server only may be one, so that it can lack metadata.</param>
    /// <param name="check">Throws when one cannot be used; null when all can.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="OAuthException">None can: the reason of the first.</exception>
    public async Task<AuthorizationServer> FindFirstServerAsync(IReadOnlyList<string> issuers, bool isImplied, Action<AuthorizationServer>? check, CancellationToken cancellationToken)
    {
        OAuthException? failure = null;
        foreach (var issuer in issuers)
        {
            try
            {
                var found = await FindServerAsync(issuer, isImplied, cancellationToken);
                check?.Invoke(found);
                return found;
            }
            catch (OAuthException e)
            {
                failure ??= e;
            }
        }

        throw failure ?? new(OAuthFailure.Unusable, $"{UpstreamHttpClient.Describe(server)} names no authorization server");
    }

    /// <summary>Finds the metadata of an authorization server.</summary>
    /// <param name="issuer">Its issuer identifier.</param>
    /// <param name="isImplied">Whether the server only may be one, so that it can lack metadata.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="OAuthException">It cannot be had, or is another issuer's.</exception>
    public async Task<AuthorizationServer> FindServerAsync(string issuer, bool isImplied, CancellationToken cancellationToken)
    {
        if (!Uri.TryCreate(issuer, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw new OAuthException(OAuthFailure.Unusable, $"the server names an authorization server that is no URL: {issuer}");
        }

        OAuthException? failure = null;
        foreach (var candidate in ServerCandidates(uri))
        {
            try
            {
                var response = await http.GetAsync(candidate, cancellationToken);
                if (response is { IsSuccess: true, Document: { } document })
                {
                    var named = document.String("issuer");
                    if (!string.Equals(named, issuer, StringComparison.Ordinal) && !(isImplied && named is null))
                    {
                        // RFC 8414 section 3.3: such metadata must not be used, whoever it came from.
                        throw new OAuthException(OAuthFailure.Unusable, $"the metadata of the authorization server {issuer} names another issuer ({named ?? "none"}); its owner has to correct that");
                    }

                    return AuthorizationServer.Read(issuer, document);
                }

                LogNothingThere(candidate.AbsoluteUri, (int)response.Status);
                if (IsTemporary(response))
                {
                    failure = Worse(failure, new(OAuthFailure.Temporary, $"the authorization server {issuer} answered HTTP {(int)response.Status} when asked for its metadata"));
                }
                else if (response.IsSuccess)
                {
                    failure = Worse(failure, new(OAuthFailure.Unusable, $"the metadata of the authorization server {issuer} is no JSON object"));
                }
            }
            catch (OAuthException e) when (e.Failure == OAuthFailure.Temporary)
            {
                failure = Worse(failure, e);
            }
        }

        if (isImplied && failure is null or { Failure: OAuthFailure.Unusable })
        {
            return Implied(uri);
        }

        throw failure ?? new(OAuthFailure.Unusable, $"the authorization server {issuer} has no metadata where the specification puts it");
    }

    /// <summary>The failure to report: silence leaves everything open, whatever was said elsewhere.</summary>
    private static OAuthException Worse(OAuthException? first, OAuthException second) =>
        first is null || (first.Failure != OAuthFailure.Temporary && second.Failure == OAuthFailure.Temporary) ? second : first;

    private static AuthorizationServer Implied(Uri origin) => new(UpstreamHttpClient.Describe(origin))
    {
        AuthorizationEndpoint = new(origin, "/authorize"),
        TokenEndpoint = new(origin, "/token"),
        RegistrationEndpoint = new(origin, "/register"),
        IsImplied = true,
    };

    /// <summary>Whether an answer says nothing about what is there: the server is overloaded or broken.</summary>
    private static bool IsTemporary(OAuthResponse response) => (int)response.Status is >= 500 or 408 or 425 or 429;

    private Uri? Named(string? metadataUrl)
    {
        if (metadataUrl is null)
        {
            return null;
        }

        if (Uri.TryCreate(server, metadataUrl, out var named) && named.Scheme is "http" or "https")
        {
            return named;
        }

        LogNotUsable(metadataUrl);
        return null;
    }

    private IEnumerable<Uri> ResourceCandidates(Uri? named)
    {
        if (named is not null)
        {
            yield return named;
        }

        var path = server.GetComponents(UriComponents.Path, UriFormat.UriEscaped).TrimEnd('/');
        if (path.Length > 0)
        {
            yield return new(server, $"/.well-known/oauth-protected-resource/{path}{server.Query}");
        }

        yield return new(server, "/.well-known/oauth-protected-resource");
    }

    private static Uri[] ServerCandidates(Uri issuer)
    {
        var path = issuer.AbsolutePath.TrimEnd('/');
        return path.Length == 0
            ? [new(issuer, "/.well-known/oauth-authorization-server"), new(issuer, "/.well-known/openid-configuration")]
            :
            [
                new(issuer, $"/.well-known/oauth-authorization-server{path}"),
                new(issuer, $"/.well-known/openid-configuration{path}"),
                new(issuer, $"{path}/.well-known/openid-configuration"),
            ];
    }

    private ProtectedResource Read(OAuthDocument document, Uri where)
    {
        var resource = document.String("resource");
        if (resource is null)
        {
            LogNoResource(where.AbsoluteUri);
            resource = CanonicalUri(server);
        }
        else if (resource != resourceOption && !Covers(resource))
        {
            throw new OAuthException(
                OAuthFailure.Unusable,
                $"the metadata that {UpstreamHttpClient.Describe(server)} refers to is for another resource, {resource}: no token is requested for it (--resource \"{resource}\" accepts it, if that is right)");
        }

        var servers = document.Strings("authorization_servers") ?? [];
        return new(
            resource,
            servers.Count > 0 ? servers : [UpstreamHttpClient.Describe(server)],
            document.Strings("scopes_supported") is { } scopes ? ScopeSet.Of(scopes) : null,
            document.Flag("dpop_bound_access_tokens_required"),
            IsImplied: servers.Count == 0);
    }

    /// <summary>Whether a resource identifier is the server's own, or one of which it is a part.</summary>
    private bool Covers(string resource)
    {
        if (!Uri.TryCreate(resource, UriKind.Absolute, out var uri) || !UpstreamHttpClient.IsSameOrigin(uri, server) || uri.Fragment.Length > 0)
        {
            return false;
        }

        var prefix = uri.AbsolutePath.TrimEnd('/');
        return server.AbsolutePath.StartsWith(prefix, StringComparison.Ordinal)
            && (server.AbsolutePath.Length == prefix.Length || server.AbsolutePath[prefix.Length] == '/');
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "No metadata at {Url} (HTTP {Status})")]
    private partial void LogNothingThere(string url, int status);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The server's challenge names metadata at {Url}, which is no http URL; ignored")]
    private partial void LogNotUsable(string url);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The metadata at {Url} names no resource; the server's own URL is taken")]
    private partial void LogNoResource(string url);
}
