using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using McpProxy.Transports.Http;

namespace McpProxy.Auth.Grants;

/// <summary>Requests tokens (RFC 6749 section 3.2), with proofs of possession where they are wanted (RFC 9449 section 5).</summary>
internal sealed class TokenEndpoint(OAuthHttpClient http, ClientAuthentication authentication)
{
    /// <summary>Requests tokens.</summary>
    /// <param name="server">Where.</param>
    /// <param name="client">For whom.</param>
    /// <param name="form">The parameters of the grant.</param>
    /// <param name="asked">The scopes asked for, in this request or in the one it follows from.</param>
    /// <param name="dpop">The key to bind the tokens to; null for tokens that are not bound.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="OAuthException">There are none.</exception>
    public async Task<TokenSet> RequestAsync(
        AuthorizationServer server, OAuthClient client, IReadOnlyList<KeyValuePair<string, string>> form, ScopeSet asked, DpopKey? dpop, CancellationToken cancellationToken)
    {
        var document = await SendAsync(server, client, form, dpop, cancellationToken);
        var type = document.String("token_type");
        var isDpop = string.Equals(type, "DPoP", StringComparison.OrdinalIgnoreCase);
        if (document.String("access_token") is not { Length: > 0 } token || token.AsSpan().ContainsAnyExceptInRange('!', '~'))
        {
            throw new OAuthException(OAuthFailure.Unusable, $"the token endpoint of {server.Issuer} answered without an access token that a header can carry");
        }

        if (isDpop ? dpop is null : type is not null && !string.Equals(type, "Bearer", StringComparison.OrdinalIgnoreCase))
        {
            throw new OAuthException(OAuthFailure.Unusable, $"the token endpoint of {server.Issuer} issued a token of the type {OAuthErrors.Describe(type!, null)}, which cannot be used");
        }

        var now = http.Time.GetUtcNow();
        return new(token)
        {
            IsDpop = isDpop,
            RefreshToken = document.String("refresh_token") is { Length: > 0 } refresh ? refresh : null,
            ObtainedAt = now,

            // Some servers write 0 for "never".
            ExpiresAt = document.Number("expires_in") is > 0 and var seconds ? now + TimeSpan.FromSeconds(Math.Min(seconds, int.MaxValue)) : null,
            Scope = asked.Union(ScopeSet.Parse(document.String("scope"))),
            ClientId = client.Id,
        };
    }

    /// <summary>Requests anything of a token endpoint, and gives its answer.</summary>
    /// <exception cref="OAuthException">It refused.</exception>
    public async Task<OAuthDocument> SendAsync(
        AuthorizationServer server, OAuthClient client, IReadOnlyList<KeyValuePair<string, string>> form, DpopKey? dpop, CancellationToken cancellationToken)
    {
        var endpoint = server.TokenEndpoint ?? throw new OAuthException(OAuthFailure.Unusable, $"the metadata of the authorization server {server.Issuer} names no token endpoint");
        for (var attempt = 0; ; attempt++)
        {
            List<KeyValuePair<string, string>> parameters = [.. form];
            var basic = authentication.Apply(client, server, parameters);
            var response = await http.PostFormAsync(
                endpoint,
                parameters,
                headers =>
                {
                    if (basic is not null)
                    {
                        headers.TryAddWithoutValidation("Authorization", basic);
                    }

                    if (dpop is not null)
                    {
                        headers.TryAddWithoutValidation("DPoP", dpop.Proof("POST", endpoint, token: null, http.Time.GetUtcNow()));
                    }
                },
                cancellationToken);
            if (dpop is not null && response.DpopNonce is { } nonce)
            {
                dpop.KeepNonce(endpoint, nonce);
                if (attempt == 0 && response.Document?.String("error") == "use_dpop_nonce")
                {
                    continue;
                }
            }

            // Some servers answer errors with 200.
            return response is { IsSuccess: true, Document: { } document } && document.String("error") is null ? document : throw Refusal(endpoint, response);
        }
    }

    /// <summary>Takes a token back (RFC 7009).</summary>
    /// <exception cref="OAuthException">The server refused, or there is no answer.</exception>
    public async Task RevokeAsync(AuthorizationServer server, OAuthClient client, string token, string hint, CancellationToken cancellationToken)
    {
        List<KeyValuePair<string, string>> form = [new("token", token), new("token_type_hint", hint)];
        var basic = authentication.Apply(client, server, form);
        var response = await http.PostFormAsync(
            server.RevocationEndpoint!, form, headers => _ = basic is null || headers.TryAddWithoutValidation("Authorization", basic), cancellationToken);
        if (!response.IsSuccess)
        {
            throw Refusal(server.RevocationEndpoint!, response);
        }
    }

    private static OAuthException Refusal(Uri endpoint, OAuthResponse response)
    {
        var code = response.Document?.String("error");
        var failure = code switch
        {
            "invalid_grant" => OAuthFailure.InvalidGrant,
            "invalid_client" => OAuthFailure.InvalidClient,
            _ when (int)response.Status is 408 or 425 or 429 => OAuthFailure.Temporary,
            "temporarily_unavailable" or "server_error" or "slow_down" or "authorization_pending" => OAuthFailure.Temporary,
            not null when (int)response.Status < 500 => OAuthFailure.Unusable,

            // Without a word about the grant it may be anything on the way, such as a gateway during a deployment.
            _ => OAuthFailure.Temporary,
        };
        var said = OAuthErrors.Describe(response.Document)
            ?? (response.IsSuccess ? "an answer that is no JSON object" : $"HTTP {(int)response.Status}");
        return new(failure, $"{UpstreamHttpClient.Describe(endpoint)} refused to issue a token: {said}") { Code = code };
    }
}
