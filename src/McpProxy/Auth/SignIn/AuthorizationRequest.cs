using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.Store;

namespace McpProxy.Auth.SignIn;

/// <summary>Makes authorization requests (RFC 6749 section 4.1.1, with PKCE and resource indicators).</summary>
internal static class AuthorizationRequest
{
    /// <summary>A new request, and what is needed to check and redeem the response to it.</summary>
    /// <exception cref="OAuthException">The server's endpoint is not safe to lead the browser to.</exception>
    public static StoredFlow Create(OAuthContext context, AuthorizationServer server, OAuthClient client, ScopeSet scope, string? resource, string redirectUri)
    {
        var state = UnguessableText.Create();
        var verifier = UnguessableText.Create();
        var extra = context.Options.AuthorizeParameters;
        List<KeyValuePair<string, string?>> parameters =
        [
            new("response_type", "code"),
            new("client_id", client.Id),
            new("redirect_uri", redirectUri),
            new("code_challenge", UnguessableText.Hash(verifier)),
            new("code_challenge_method", "S256"),
            new("state", state),
            new("scope", scope.ToParameter()),
            new("resource", resource),

            // OpenID Connect Core section 11: without consent there is no offline access.
            new("prompt", scope.Contains("offline_access") && !extra.Any(parameter => parameter.Key == "prompt") ? "consent" : null),
            .. extra.Select(parameter => new KeyValuePair<string, string?>(parameter.Key, parameter.Value)),
        ];
        var endpoint = context.Http.Checked(server.AuthorizationEndpoint!);
        var query = string.Join('&', parameters.Where(parameter => parameter.Value is not null).Select(parameter => $"{Uri.EscapeDataString(parameter.Key)}={Uri.EscapeDataString(parameter.Value!)}"));
        return new()
        {
            Issuer = server.Issuer,
            ClientId = client.Id,
            Scope = scope.ToParameter(),
            Resource = resource,
            Url = new UriBuilder(endpoint) { Fragment = "", Query = endpoint.Query.Length > 1 ? $"{endpoint.Query[1..]}&{query}" : query }.Uri.AbsoluteUri,
            StartedAt = context.Time.GetUtcNow().ToUnixTimeMilliseconds(),
            RedirectUri = redirectUri,
            State = state,
            Verifier = verifier,
        };
    }
}
