using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.Store;

namespace McpProxy.Auth.Grants;

/// <summary>The device authorization grant (RFC 8628): the user signs in anywhere, the proxy asks until they have.</summary>
internal sealed class DeviceGrant(OAuthContext context, AuthorizationServer server, OAuthClient client, ScopeSet scope, string? resource, DpopKey? dpop)
{
    private const int DefaultInterval = 5;
    private const int MaxInterval = 60;

    /// <summary>Asks for a code.</summary>
    /// <exception cref="OAuthException">There is none.</exception>
    public async Task<StoredFlow> StartAsync(CancellationToken cancellationToken)
    {
        List<KeyValuePair<string, string>> form = [.. OAuthContext.Form("", resource, scope).Skip(1)];
        var basic = context.Authentication.Apply(client, server, form);
        var response = await context.Http.PostFormAsync(
            server.DeviceAuthorizationEndpoint!, form, headers => _ = basic is null || headers.TryAddWithoutValidation("Authorization", basic), cancellationToken);
        var document = response.Document;
        if (!response.IsSuccess || document?.String("device_code") is not { Length: > 0 } deviceCode || document.String("user_code") is not { Length: > 0 } userCode
            || (document.String("verification_uri_complete") ?? document.String("verification_uri") ?? document.String("verification_url")) is not { } page
            || !Uri.TryCreate(page, UriKind.Absolute, out var url))
        {
            var said = OAuthErrors.Describe(document) ?? $"HTTP {(int)response.Status} without a code";
            throw new OAuthException((int)response.Status >= 500 ? OAuthFailure.Temporary : OAuthFailure.Unusable, $"{server.Issuer} started no sign-in by device code: {said}");
        }

        var now = context.Time.GetUtcNow();
        return new()
        {
            Issuer = server.Issuer,
            ClientId = client.Id,
            Scope = scope.ToParameter(),
            Resource = resource,
            Url = url.AbsoluteUri,
            UserCode = OAuthErrors.Describe(userCode, null),
            DeviceCode = deviceCode,
            Interval = (int)Math.Clamp(document.Number("interval") ?? DefaultInterval, 1, MaxInterval),
            StartedAt = now.ToUnixTimeMilliseconds(),
            ExpiresAt = (now + TimeSpan.FromSeconds(Math.Clamp(document.Number("expires_in") ?? 600, 1, 86400))).ToUnixTimeMilliseconds(),
        };
    }

    /// <summary>Asks for tokens, no more often than the server wants, until it decides.</summary>
    /// <exception cref="OAuthException">The user or the server said no, or the code has ended.</exception>
    public async Task<TokenSet> PollAsync(StoredFlow flow, CancellationToken cancellationToken)
    {
        var interval = TimeSpan.FromSeconds(flow.Interval);
        var form = OAuthContext.Form("urn:ietf:params:oauth:grant-type:device_code", resource, scope: null, ("device_code", flow.DeviceCode));
        while (true)
        {
            await Task.Delay(interval, context.Time, cancellationToken);
            try
            {
                return await context.Tokens.RequestAsync(server, client, form, scope, dpop, cancellationToken);
            }
            catch (OAuthException e) when (e.Code is "slow_down")
            {
                interval += TimeSpan.FromSeconds(5);
            }
            catch (OAuthException e) when (e.Code is "access_denied" or "expired_token")
            {
                throw new OAuthException(OAuthFailure.Denied, e.Code == "access_denied" ? "the sign-in was refused" : $"nobody entered the code {flow.UserCode} in time") { Code = e.Code };
            }
            catch (OAuthException e) when (e.Failure == OAuthFailure.Temporary && context.Time.GetUtcNow().ToUnixTimeMilliseconds() < flow.ExpiresAt)
            {
                // Not yet; or the network, which RFC 8628 section 3.5 wants to be asked less when it fails.
                interval = e.Code is null && interval < TimeSpan.FromSeconds(MaxInterval) ? interval * 2 : interval;
            }
        }
    }
}
