using System.Net;
using McpProxy.Auth.Discovery;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.Clients;

/// <summary>Registers the proxy with an authorization server (RFC 7591; MCP 2026-07-28, "Dynamic Client Registration").</summary>
internal sealed partial class ClientRegistrar(OAuthHttpClient http, OAuthOptions options, bool hasKey, ILogger logger)
{
    /// <summary>Registers a client.</summary>
    /// <param name="server">Where.</param>
    /// <param name="redirectUri">Where the browser is to come back to; null when no browser takes part.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="OAuthException">The server refuses, or registers nobody.</exception>
    public async Task<OAuthClient> RegisterAsync(AuthorizationServer server, string? redirectUri, CancellationToken cancellationToken)
    {
        if (server.RegistrationEndpoint is not { } endpoint)
        {
            throw new OAuthException(
                OAuthFailure.Unusable,
                $"the authorization server {server.Issuer} registers no clients by itself: ask its owner for a client id"
                + (redirectUri is null ? "" : $" with the redirect URI {redirectUri}") + ", and give it with --client-id (and --client-secret, if there is one)");
        }

        var response = await http.PostJsonAsync(endpoint, Request(server, redirectUri), cancellationToken);
        if (!response.IsSuccess || response.Document?.String("client_id") is not { Length: > 0 } id)
        {
            throw Refusal(server, response);
        }

        LogRegistered(server.Issuer, id);
        var document = response.Document;
        var secret = document.String("client_secret");
        var expires = document.Number("client_secret_expires_at");
        return new(id)
        {
            Secret = string.IsNullOrEmpty(secret) ? null : secret,
            AuthMethod = document.String("token_endpoint_auth_method") ?? (string.IsNullOrEmpty(secret) ? "none" : null),
            RedirectUris = document.Strings("redirect_uris") is { Count: > 0 } uris ? uris : redirectUri is null ? [] : [redirectUri],
            Issuer = server.Issuer,
            SecretExpiresAt = secret is not null && expires is > 0 ? UnixTime.FromSeconds(expires) : null,
            IsRegistered = true,
        };
    }

    private string Request(AuthorizationServer server, string? redirectUri)
    {
        var own = options.RegistrationMetadata is { } text ? OAuthDocument.TryParse(System.Text.Encoding.UTF8.GetBytes(text)) : null;
        var given = own?.Members.ToList() ?? [];
        return JsonText.Object(writer =>
        {
            Write("client_name", () => writer.WriteString("client_name", "mcp-proxy"));
            // Without a browser both are empty: left out, some servers take them for those of one.
            Write("redirect_uris", () => writer.WriteStrings("redirect_uris", redirectUri is null ? [] : [redirectUri]));
            Write("response_types", () => writer.WriteStrings("response_types", redirectUri is null ? [] : ["code"]));

            // Without it OpenID providers take the client for a web application, which may not come back to this machine.
            Write("application_type", () => writer.WriteString("application_type", "native"));
            Write("grant_types", () => writer.WriteStrings("grant_types", [redirectUri is null ? "urn:ietf:params:oauth:grant-type:device_code" : "authorization_code", "refresh_token"]));
            Write("token_endpoint_auth_method", () => writer.WriteString("token_endpoint_auth_method", MethodFor(server)));
            if (options.Scope is not null)
            {
                Write("scope", () => writer.WriteString("scope", ScopeSet.Parse(options.Scope).ToString()));
            }

            foreach (var member in given)
            {
                member.WriteTo(writer);
            }

            void Write(string name, Action write)
            {
                if (!given.Exists(member => member.NameEquals(name)))
                {
                    write();
                }
            }
        });
    }

    /// <summary>The first method that the server takes; a public client where it does not say, since this is one.</summary>
    private string MethodFor(AuthorizationServer server)
    {
        string[] possible = hasKey ? ["private_key_jwt", "none", "client_secret_basic", "client_secret_post"] : ["none", "client_secret_basic", "client_secret_post"];
        var supported = server.TokenEndpointAuthMethods;
        return supported is null or { Count: 0 } ? "none" : possible.FirstOrDefault(method => supported.Contains(method, StringComparer.Ordinal)) ?? "none";
    }

    private static OAuthException Refusal(AuthorizationServer server, OAuthResponse response)
    {
        var failure = response.Status is >= HttpStatusCode.InternalServerError or HttpStatusCode.TooManyRequests ? OAuthFailure.Temporary : OAuthFailure.Unusable;
        var said = OAuthErrors.Describe(response.Document) ?? $"HTTP {(int)response.Status}";
        return new(failure, $"the authorization server {server.Issuer} refused to register this client: {said}")
        {
            Code = response.Document?.String("error"),
        };
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Registered with {Issuer} as client {ClientId}")]
    private partial void LogRegistered(string issuer, string clientId);
}
