using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>What an authorization server is asked for.</summary>
public enum Endpoint
{
    Unknown,
    Metadata,
    Registration,
    Authorization,
    Token,
    DeviceAuthorization,
    Revocation,
    Keys,
}

/// <summary>Where an authorization server has its metadata.</summary>
[Flags]
public enum MetadataForms
{
    None = 0,

    /// <summary>RFC 8414.</summary>
    OAuth = 1,

    /// <summary>OpenID Connect's document in the place that RFC 8414 gives it.</summary>
    OidcInserted = 2,

    /// <summary>OpenID Connect's document in its own place, behind the issuer.</summary>
    OidcAppended = 4,
}

/// <summary>
/// An authorization server whose tokens are words that it looks up. It does everything right by default, and verifies that
/// its clients do; what it does otherwise, a test sets.
/// </summary>
public sealed class AuthorizationServer : LoopbackHost
{
    public const string DeviceCodeGrant = "urn:ietf:params:oauth:grant-type:device_code";
    public const string JwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    public const string TokenExchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange";
    public const string IdJag = "urn:ietf:params:oauth:token-type:id-jag";

    private readonly Grants _grants = new();
    private readonly ConcurrentDictionary<string, OAuthClient> _clients = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, DeviceSignIn> _devices = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, byte> _assertions = new(StringComparer.Ordinal);
    private readonly DpopVerifier _proofs = new();
    private int _lastClient;

    private AuthorizationServer()
    {
    }

    /// <summary>What stands behind the origin in the issuer: empty, or a path.</summary>
    public string IssuerPath { get; set; } = "";

    public string Issuer => Origin + IssuerPath;

    public MetadataForms Forms { get; set; } = MetadataForms.OAuth;

    /// <summary>Changes the metadata before it is sent.</summary>
    public Action<JsonObject>? EditMetadata { get; set; }

    /// <summary>Answers that replace the right ones.</summary>
    public ConcurrentDictionary<Endpoint, Fault> Misbehavior { get; } = new();

    /// <summary>Signs the access tokens, so that servers can check them without asking; null: they are words.</summary>
    public TokenSigner? Signer { get; set; }

    public bool OffersRegistration { get; set; } = true;

    /// <summary>Whether every client that registers gets a secret, whatever it asked for.</summary>
    public bool RegistersWithSecret { get; set; }

    /// <summary>Whether an https URL will do as the identifier of a client.</summary>
    public bool AcceptsMetadataUrls { get; set; }

    /// <summary>Whether <c>resource</c> is an error here, as it is at Entra.</summary>
    public bool RefusesResource { get; set; }

    /// <summary>Changes the parameters with which the user is sent back.</summary>
    public Action<Dictionary<string, string>>? EditRedirect { get; set; }

    /// <summary>The error with which the user is sent back, in place of a code.</summary>
    public string? Refusal { get; set; }

    /// <summary>Who signs in.</summary>
    public string Account { get; set; } = "ann";

    /// <summary>For how many seconds an access token is said to be good; the servers here take it until a test ends its life.</summary>
    public Func<SeenRequest, int> ExpiresIn { get; set; } = _ => 3600;

    /// <summary>Who gets a refresh token: everybody, unless a test says otherwise.</summary>
    public Predicate<SeenRequest> GivesRefreshToken { get; set; } = _ => true;

    /// <summary>What proofs of possession must have been made with; null to take them without.</summary>
    public string? DpopNonce { get; set; }

    /// <summary>How many polls of a device are told to slow down.</summary>
    public int SlowDowns { get; set; }

    /// <summary>The authorization server that takes the assertions which this one issues (token exchange).</summary>
    public AuthorizationServer? Audience { get; set; }

    /// <summary>How often a refresh token came that had been exchanged already.</summary>
    public int Reuses => _grants.Reuses;

    /// <summary>Everything that nobody but the client should ever see.</summary>
    public IReadOnlyList<string> Secrets => _grants.Secrets;

    public IReadOnlyList<string> ClientIds => [.. _clients.Keys];

    public static async Task<AuthorizationServer> StartNewAsync()
    {
        var server = new AuthorizationServer();
        await server.StartAsync();
        return server;
    }

    /// <summary>The requests to one endpoint.</summary>
    public IReadOnlyList<SeenRequest> To(Endpoint endpoint) => Requests.Where(request => EndpointOf(request) == endpoint);

    /// <summary>The token requests of one kind.</summary>
    public IReadOnlyList<SeenRequest> TokenRequests(string grantType) => [.. To(Endpoint.Token).Where(request => request.GrantType == grantType)];

    /// <summary>Waits for as many requests to an endpoint.</summary>
    public Task<IReadOnlyList<SeenRequest>> ArrivedAsync(Endpoint endpoint, int count = 1) =>
        Requests.ManyAsync(count, $"request {count} to the {endpoint} endpoint", request => EndpointOf(request) == endpoint);

    /// <summary>Makes a client known, as an administrator would.</summary>
    public OAuthClient Add(OAuthClient client)
    {
        _clients[client.Id] = client;
        if (client.Secret is { } secret)
        {
            _grants.Keep(secret);
        }

        return client;
    }

    /// <summary>Forgets all clients: their next request is refused with <c>invalid_client</c>.</summary>
    public void ForgetClients() => _clients.Clear();

    /// <summary>Ends the life of the access tokens; refresh tokens live on.</summary>
    public void ExpireAccessTokens() => _grants.ExpireAccessTokens();

    /// <summary>Takes back everything that was allowed: the next refresh is refused with <c>invalid_grant</c>.</summary>
    public void RevokeAll() => _grants.RevokeAll();

    public void ApproveDevice(string userCode) => _devices.Values.Single(device => device.UserCode == userCode).IsApproved = true;

    /// <summary>Makes an assertion (or, for a token exchange, a subject token) known as good.</summary>
    public void Accept(string assertion)
    {
        _assertions[assertion] = 0;
        _grants.Keep(assertion);
    }

    /// <summary>What an access token is good for; null when for nothing.</summary>
    public Grant? Find(string? accessToken) => _grants.Find(accessToken);

    /// <summary>The thumbprint of the key that an access token is bound to; null when to none.</summary>
    public string? KeyOf(string accessToken) => _grants.KeyOf(accessToken);

    /// <summary>An access token without any of the ceremony, as another program may have got one.</summary>
    public (string Access, string Refresh) IssueTo(string clientId, string? resource, params string[] scopes)
    {
        var (access, refresh) = _grants.Issue(new(clientId, Account, scopes, resource), withRefresh: true);
        return (access, refresh!);
    }

    /// <summary>An OpenID Connect document alone, behind an issuer with a path; clients from the portal; no word about PKCE; <c>resource</c> is refused.</summary>
    public void BehaveLikeEntra()
    {
        IssuerPath = "/tenant/v2.0";
        Forms = MetadataForms.OidcAppended;
        OffersRegistration = false;
        RefusesResource = true;
        EditMetadata = static metadata => metadata.Remove("code_challenge_methods_supported");
    }

    /// <summary>A realm in the issuer's path; clients that register get a secret and must use it.</summary>
    public void BehaveLikeKeycloak()
    {
        IssuerPath = "/realms/x";
        Forms = MetadataForms.OidcAppended;
        RegistersWithSecret = true;
        EditMetadata = static metadata => metadata["token_endpoint_auth_methods_supported"] = new JsonArray("private_key_jwt", "client_secret_basic", "client_secret_post");
    }

    /// <summary>Clients from the console, with a secret that is none; refresh tokens only for those who ask in Google's own way.</summary>
    public void BehaveLikeGoogle()
    {
        Forms = MetadataForms.OidcAppended;
        OffersRegistration = false;
        GivesRefreshToken = _ => To(Endpoint.Authorization).Any(request => request.Query.GetValueOrDefault("access_type") == "offline");
        EditMetadata = static metadata =>
        {
            metadata["token_endpoint_auth_methods_supported"] = new JsonArray("client_secret_post", "client_secret_basic");
            metadata.Remove("authorization_response_iss_parameter_supported");
        };
    }

    /// <summary>Serves a request, which need not have come to this server's own address.</summary>
    public Task ServeAsync(HttpContext context, SeenRequest request)
    {
        var endpoint = EndpointOf(request);
        return Misbehavior.TryGetValue(endpoint, out var fault) ? fault(context) : endpoint switch
        {
            Endpoint.Metadata => Reply.JsonAsync(context, Metadata()),
            Endpoint.Registration when OffersRegistration => RegisterAsync(context, request),
            Endpoint.Authorization => AuthorizeAsync(context, request),
            Endpoint.Token => TokenAsync(context, request),
            Endpoint.DeviceAuthorization => StartDeviceAsync(context, request),
            Endpoint.Revocation => RevokeAsync(context, request),
            Endpoint.Keys when Signer is { } signer => Reply.JsonAsync(context, signer.KeySet()),
            _ => Faults.NotFound(context),
        };
    }

    protected override Task HandleAsync(HttpContext context, SeenRequest request) => ServeAsync(context, request);

    private Endpoint EndpointOf(SeenRequest request)
    {
        var path = request.Path;
        if ((Forms.HasFlag(MetadataForms.OAuth) && path == $"/.well-known/oauth-authorization-server{IssuerPath}")
            || (Forms.HasFlag(MetadataForms.OidcInserted) && path == $"/.well-known/openid-configuration{IssuerPath}")
            || (Forms.HasFlag(MetadataForms.OidcAppended) && path == $"{IssuerPath}/.well-known/openid-configuration"))
        {
            return Endpoint.Metadata;
        }

        return !path.StartsWith(IssuerPath, StringComparison.Ordinal) ? Endpoint.Unknown : path[IssuerPath.Length..] switch
        {
            "/register" => Endpoint.Registration,
            "/authorize" => Endpoint.Authorization,
            "/token" => Endpoint.Token,
            "/device" => Endpoint.DeviceAuthorization,
            "/revoke" => Endpoint.Revocation,
            "/keys" => Endpoint.Keys,
            _ => Endpoint.Unknown,
        };
    }

    private JsonObject Metadata()
    {
        var metadata = new JsonObject
        {
            ["issuer"] = Issuer,
            ["authorization_endpoint"] = $"{Issuer}/authorize",
            ["token_endpoint"] = $"{Issuer}/token",
            ["device_authorization_endpoint"] = $"{Issuer}/device",
            ["revocation_endpoint"] = $"{Issuer}/revoke",
            ["response_types_supported"] = new JsonArray("code"),
            ["grant_types_supported"] = new JsonArray("authorization_code", "refresh_token", "client_credentials", DeviceCodeGrant, JwtBearerGrant),
            ["token_endpoint_auth_methods_supported"] = new JsonArray("none", "client_secret_basic", "client_secret_post", "private_key_jwt"),
            ["code_challenge_methods_supported"] = new JsonArray("S256"),
            ["authorization_response_iss_parameter_supported"] = true,
        };
        if (OffersRegistration)
        {
            metadata["registration_endpoint"] = $"{Issuer}/register";
        }

        if (AcceptsMetadataUrls)
        {
            metadata["client_id_metadata_document_supported"] = true;
        }

        if (Signer is not null)
        {
            metadata["jwks_uri"] = $"{Issuer}/keys";
        }

        EditMetadata?.Invoke(metadata);
        return metadata;
    }

    private Task RegisterAsync(HttpContext context, SeenRequest request)
    {
        var metadata = JsonNode.Parse(request.Body)!.AsObject();
        var redirectUris = metadata["redirect_uris"]?.AsArray().Select(uri => uri!.GetValue<string>()).ToList() ?? [];
        var id = string.Create(CultureInfo.InvariantCulture, $"client-{Interlocked.Increment(ref _lastClient)}");
        var client = new OAuthClient(id)
        {
            RedirectUris = redirectUris,
            Secret = RegistersWithSecret ? _grants.NewSecret("secret") : null,
            AuthMethod = RegistersWithSecret ? "client_secret_basic" : "none",
        };
        _clients[id] = client;
        metadata["client_id"] = id;
        metadata["token_endpoint_auth_method"] = client.AuthMethod;
        if (client.Secret is { } secret)
        {
            metadata["client_secret"] = secret;
            metadata["client_secret_expires_at"] = 0;
        }

        return Reply.JsonAsync(context, metadata, StatusCodes.Status201Created);
    }

    private Task AuthorizeAsync(HttpContext context, SeenRequest request)
    {
        var query = request.Query;
        var client = FindClient(query.GetValueOrDefault("client_id", ""));
        var redirectUri = query.GetValueOrDefault("redirect_uri");
        if (client?.Allows(redirectUri) != true)
        {
            // Nobody may be sent to an address that is not the client's.
            return Reply.TextAsync(context, "text/plain", client is null ? "unknown client" : $"redirect_uri is not registered: {redirectUri}", StatusCodes.Status400BadRequest);
        }

        var challenge = query.GetValueOrDefault("code_challenge");
        var answer = new Dictionary<string, string>(StringComparer.Ordinal);
        if (Refusal is not null)
        {
            answer["error"] = Refusal;
            answer["error_description"] = "the user said no";
        }
        else if (query.GetValueOrDefault("response_type") != "code" || challenge is null || query.GetValueOrDefault("code_challenge_method") != "S256")
        {
            answer["error"] = "invalid_request";
        }
        else if (RefusesResource && query.ContainsKey("resource"))
        {
            answer["error"] = "invalid_target";
            answer["error_description"] = "AADSTS9010010: The resource parameter provided in the request doesn't match with the requested scopes";
        }
        else
        {
            var grant = new Grant(client.Id, Account, Words(query.GetValueOrDefault("scope")), query.GetValueOrDefault("resource"));
            answer["code"] = _grants.AddCode(new(grant, redirectUri!, challenge));
        }

        answer["iss"] = Issuer;
        if (query.TryGetValue("state", out var state))
        {
            answer["state"] = state;
        }

        EditRedirect?.Invoke(answer);
        context.Response.Redirect(QueryHelpers.AddQueryString(redirectUri!, answer!));
        return Task.CompletedTask;
    }

    private Task TokenAsync(HttpContext context, SeenRequest request)
    {
        if (RefusesResource && request.Form.ContainsKey("resource"))
        {
            return Reply.OAuthErrorAsync(context, "invalid_target", "AADSTS9010010: The resource parameter provided in the request doesn't match with the requested scopes");
        }

        string? key = null;
        if (request.Headers.ContainsKey("DPoP"))
        {
            (key, var flaw) = _proofs.Verify(request, $"{Origin}{request.Path}", token: null, DpopNonce);
            context.Response.Headers["DPoP-Nonce"] = DpopNonce;
            if (key is null)
            {
                return Reply.OAuthErrorAsync(context, flaw == "use_dpop_nonce" ? flaw : "invalid_dpop_proof", flaw);
            }
        }

        var (client, problem) = ClientAuthentication.Of(request, Issuer, FindClient);
        if (client is null)
        {
            return Reply.OAuthErrorAsync(context, "invalid_client", problem, StatusCodes.Status401Unauthorized);
        }

        var resource = request.Form.GetValueOrDefault("resource");
        switch (request.GrantType)
        {
            case "authorization_code":
                return RedeemCodeAsync(context, request, client, key);
            case "refresh_token":
                return RefreshAsync(context, request, client, key);
            case "client_credentials" when client.AuthMethod != "none":
                return AnswerAsync(context, request, new(client.Id, client.Id, Words(request.Form.GetValueOrDefault("scope")), resource), key, refreshable: false);
            case DeviceCodeGrant:
                return PollAsync(context, request, key);
            case JwtBearerGrant:
                return _assertions.ContainsKey(request.Form.GetValueOrDefault("assertion", ""))
                    ? AnswerAsync(context, request, new(client.Id, Account, Words(request.Form.GetValueOrDefault("scope")), resource), key, refreshable: false)
                    : Reply.OAuthErrorAsync(context, "invalid_grant", "unknown assertion");
            case TokenExchangeGrant:
                return ExchangeAsync(context, request);
            default:
                return Reply.OAuthErrorAsync(context, "unsupported_grant_type");
        }
    }

    private Task RedeemCodeAsync(HttpContext context, SeenRequest request, OAuthClient client, string? key)
    {
        var form = request.Form;
        var verifier = form.GetValueOrDefault("code_verifier", "");
        _grants.Keep(verifier);
        var pending = _grants.TakeCode(form.GetValueOrDefault("code"));
        var problem = pending is null ? "unknown code"
            : pending.Grant.ClientId != client.Id ? "another client's code"
            : pending.RedirectUri != form.GetValueOrDefault("redirect_uri") ? "another redirect_uri"
            : pending.Challenge != WebEncoders.Base64UrlEncode(SHA256.HashData(Encoding.ASCII.GetBytes(verifier))) ? "wrong code_verifier"
            : null;
        return problem is not null ? Reply.OAuthErrorAsync(context, "invalid_grant", problem)
            : form.GetValueOrDefault("resource") != pending!.Grant.Resource ? Reply.OAuthErrorAsync(context, "invalid_target", "another resource than the user was asked for")
            : AnswerAsync(context, request, pending.Grant, key, refreshable: true);
    }

    private Task RefreshAsync(HttpContext context, SeenRequest request, OAuthClient client, string? key)
    {
        var grant = _grants.Redeem(request.Form.GetValueOrDefault("refresh_token"), spend: true);
        return grant is null || grant.ClientId != client.Id ? Reply.OAuthErrorAsync(context, "invalid_grant", "unknown, revoked or spent refresh token")
            : request.Form.TryGetValue("resource", out var resource) && resource != grant.Resource ? Reply.OAuthErrorAsync(context, "invalid_target", "another resource than before")
            : AnswerAsync(context, request, grant, key, refreshable: true);
    }

    private Task AnswerAsync(HttpContext context, SeenRequest request, Grant grant, string? key, bool refreshable)
    {
        var isBound = request.Headers.ContainsKey("DPoP");
        var (access, refresh) = _grants.Issue(grant, refreshable && GivesRefreshToken(request), isBound ? key : null, Signer?.Sign(grant, Issuer, ExpiresIn(request)));
        var answer = new JsonObject { ["access_token"] = access, ["token_type"] = isBound ? "DPoP" : "Bearer", ["expires_in"] = ExpiresIn(request) };
        if (refresh is not null)
        {
            answer["refresh_token"] = refresh;
        }

        if (grant.Scopes.Count > 0)
        {
            answer["scope"] = string.Join(' ', grant.Scopes);
        }

        return Reply.JsonAsync(context, answer);
    }

    private Task StartDeviceAsync(HttpContext context, SeenRequest request)
    {
        if (FindClient(request.Form.GetValueOrDefault("client_id", "")) is not { } client)
        {
            return Reply.OAuthErrorAsync(context, "invalid_client", status: StatusCodes.Status401Unauthorized);
        }

        var code = _grants.NewSecret("device");
        var device = new DeviceSignIn(
            string.Create(CultureInfo.InvariantCulture, $"WDJB-{_devices.Count + 1000}"),
            new(client.Id, Account, Words(request.Form.GetValueOrDefault("scope")), request.Form.GetValueOrDefault("resource")),
            SlowDowns);
        _devices[code] = device;
        return Reply.JsonAsync(context, new JsonObject
        {
            ["device_code"] = code,
            ["user_code"] = device.UserCode,
            ["verification_uri"] = $"{Issuer}/activate",
            ["verification_uri_complete"] = $"{Issuer}/activate?user_code={device.UserCode}",
            ["expires_in"] = 600,
            ["interval"] = 1,
        });
    }

    private Task PollAsync(HttpContext context, SeenRequest request, string? key)
    {
        if (!_devices.TryGetValue(request.Form.GetValueOrDefault("device_code", ""), out var device))
        {
            return Reply.OAuthErrorAsync(context, "invalid_grant");
        }

        return device.TakeSlowDown() ? Reply.OAuthErrorAsync(context, "slow_down")
            : !device.IsApproved ? Reply.OAuthErrorAsync(context, "authorization_pending")
            : AnswerAsync(context, request, device.Grant, key, refreshable: true);
    }

    /// <summary>An identity for an assertion that the audience takes (enterprise-managed authorization).</summary>
    private Task ExchangeAsync(HttpContext context, SeenRequest request)
    {
        var form = request.Form;
        if (form.GetValueOrDefault("requested_token_type") != IdJag || form.GetValueOrDefault("audience") != Audience?.Issuer
            || !_assertions.ContainsKey(form.GetValueOrDefault("subject_token", "")))
        {
            return Reply.OAuthErrorAsync(context, "invalid_request", "not the token type, audience or subject that is known here");
        }

        var assertion = _grants.NewSecret("id-jag");
        Audience!.Accept(assertion);
        return Reply.JsonAsync(context, new JsonObject { ["issued_token_type"] = IdJag, ["access_token"] = assertion, ["token_type"] = "N_A", ["expires_in"] = 300 });
    }

    private Task RevokeAsync(HttpContext context, SeenRequest request)
    {
        _grants.Revoke(request.Form.GetValueOrDefault("token"));
        return Reply.TextAsync(context, "text/plain", "");
    }

    private OAuthClient? FindClient(string id) =>
        AcceptsMetadataUrls && id.StartsWith("https://", StringComparison.Ordinal) ? new(id) : _clients.GetValueOrDefault(id);

    private static string[] Words(string? text) => text?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];

    /// <summary>A sign-in on another device.</summary>
    private sealed class DeviceSignIn(string userCode, Grant grant, int slowDowns)
    {
        private int _slowDowns = slowDowns;

        public string UserCode { get; } = userCode;

        public Grant Grant { get; } = grant;

        public bool IsApproved { get; set; }

        public bool TakeSlowDown() => Interlocked.Decrement(ref _slowDowns) >= 0;
    }
}
