using System.Security.Claims;
using McpProxy.Auth;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace McpProxy.AspNetCore.Access.Tokens;

/// <summary>
/// Access tokens that authorization servers have signed (RFC 9068; MCP 2026-07-28, "Token Handling"). Only for us, only by those that were named, only with
/// algorithms whose keys the issuer alone has.
/// </summary>
internal sealed class AccessTokenScheme : IAccessScheme, IDisposable
{
    /// <summary>How long a token that was found good is not looked at again.</summary>
    public static readonly TimeSpan CheckedFor = TimeSpan.FromSeconds(60);

    private const int MaxLength = 16 * 1024;
    private static readonly TimeSpan s_connectTimeout = TimeSpan.FromSeconds(10);

    private static readonly string[] s_algorithms =
    [
        SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512,
        SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384, SecurityAlgorithms.RsaSsaPssSha512,
        SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
    ];

    private readonly JwtAccessOptions _options;
    private readonly TimeProvider _time;
    private readonly ScopeSet _required;
    private readonly Dictionary<string, IssuerKeys> _issuers;
    private readonly HttpMessageInvoker _http;
    private readonly CheckedTokens _checked;
    private readonly JsonWebTokenHandler _handler = new() { MapInboundClaims = false };

    // Providers are made anew for each check: checks are rare, and the library would otherwise keep them for ever.
    private readonly CryptoProviderFactory _crypto = new() { CacheSignatureProviders = false };

    /// <exception cref="ArgumentException">An issuer is no URL that can be asked, or there is no audience.</exception>
    public AccessTokenScheme(JwtAccessOptions options, NetworkOptions network, TimeProvider time, ILogger logger)
    {
        if (options.Issuers.Count == 0 || options.Audiences.Count == 0)
        {
            throw new ArgumentException("access tokens need an issuer and an audience", nameof(options));
        }

        _options = options;
        _time = time;
        _required = ScopeSet.Of(options.RequiredScopes);
        _checked = new(time);
        _http = UpstreamHttpClient.CreateInvoker(network, s_connectTimeout, time);
        _issuers = options.Issuers.Distinct(StringComparer.Ordinal).ToDictionary(
            issuer => issuer, issuer => new IssuerKeys(issuer, new(_http, Checked(issuer), allowHttp: false, time), time, logger), StringComparer.Ordinal);
    }

    public string Name => "access token";

    public void Dispose()
    {
        foreach (var issuer in _issuers.Values)
        {
            issuer.Dispose();
        }

        _http.Dispose();
    }

    public ValueTask<AccessDecision?> DecideAsync(PresentedCredentials credentials, CancellationToken cancellationToken)
    {
        if (!credentials.Is("Bearer"))
        {
            return new((AccessDecision?)null);
        }

        var key = CheckedTokens.KeyOf(credentials.Value);
        return _checked.Find(key) is { } decision ? new(decision) : new(CheckAsync(credentials.Value.ToString(), key, cancellationToken)!);
    }

    private static Uri Checked(string issuer) =>
        Uri.TryCreate(issuer, UriKind.Absolute, out var uri) && (uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback))
            && uri is { Query: "", Fragment: "", UserInfo: "" } ? uri
            : throw new ArgumentException($"an issuer is an https URL without query and fragment (http only on this machine), not \"{issuer}\"", nameof(issuer));

    private async Task<AccessDecision> CheckAsync(string text, UInt128 key, CancellationToken cancellationToken)
    {
        // What can be seen without a key is looked at first: nobody is asked about a token that is no good anyway.
        if (TryRead(text) is not { } token)
        {
            return AccessDecision.Refused("it is neither a key nor an access token that this server knows");
        }

        if (Problem(token, out var issuer) is { } problem)
        {
            return AccessDecision.Refused(problem);
        }

        var answer = await issuer!.GetAsync(token.Kid, cancellationToken);
        if (answer.Keys is not { } keys || (!answer.IsCurrent && !keys.Has(token.Kid)))
        {
            return new(AccessOutcome.Unavailable, "the keys of the issuer cannot be fetched") { RetryAfter = answer.RetryAfter };
        }

        var candidates = keys.For(token.Kid, token.Alg);
        if (candidates.Count == 0)
        {
            return AccessDecision.Refused("the issuer has no such key");
        }

        var result = await _handler.ValidateTokenAsync(token, new()
        {
            ValidIssuer = issuer.Issuer,
            ValidAudiences = _options.Audiences,
            ValidAlgorithms = s_algorithms,
            IssuerSigningKeys = candidates,
            CryptoProviderFactory = _crypto,
            RequireExpirationTime = true,
            RequireSignedTokens = true,
            ClockSkew = _options.ClockSkew,
            LifetimeValidator = (notBefore, expires, _, _) => IsInTime(notBefore, expires),
        });
        if (!result.IsValid)
        {
            return AccessDecision.Refused(result.Exception is SecurityTokenInvalidSignatureException or SecurityTokenSignatureKeyNotFoundException
                ? "the signature is not the issuer's" : "it is no access token for this server");
        }

        var decision = Decide(token, issuer.Issuer);
        if (decision.Outcome == AccessOutcome.Admitted)
        {
            var now = _time.GetUtcNow();
            var expiry = new DateTimeOffset(token.ValidTo, TimeSpan.Zero);
            _checked.Add(key, new(decision, keys, issuer, expiry - now < CheckedFor ? expiry : now + CheckedFor));
        }

        return decision;
    }

    private static JsonWebToken? TryRead(string text)
    {
        try
        {
            return text.Length is > 0 and <= MaxLength ? new(text) : null;
        }
        catch (Exception e) when (e is ArgumentException or SecurityTokenException)
        {
            return null;
        }
    }

    /// <summary>What is wrong with a token, whoever signed it; null when nothing is.</summary>
    private string? Problem(JsonWebToken token, out IssuerKeys? issuer)
    {
        issuer = null;
        return token.IsEncrypted ? "encrypted tokens are not taken"
            : !s_algorithms.Contains(token.Alg, StringComparer.Ordinal) ? "it is not signed, or with an algorithm that is not taken"
            : token.TryGetHeaderValue<object>("crit", out _) ? "it has extensions that this server does not know"
            : !IsAccessTokenType(token.Typ) ? "it is no access token but another kind of JWT"
            : !_issuers.TryGetValue(token.Issuer ?? "", out issuer) ? "its issuer is none whose tokens are taken"
            : !token.Audiences.Any(audience => _options.Audiences.Any(ours => SameAudience(audience, ours))) ? "it is meant for another audience"
            : token.ValidTo == DateTime.MinValue ? "it never expires"
            : !IsInTime(token.ValidFrom == DateTime.MinValue ? null : token.ValidFrom, token.ValidTo) ? "it has expired, or is not valid yet"
            : token.TryGetPayloadValue<object>("cnf", out _) ? "it is bound to a key of the client, and such proofs are not taken"
            : Subject(token) is null && Client(token) is null ? "it names neither a subject nor a client"
            : null;
    }

    private bool IsInTime(DateTime? notBefore, DateTime? expires)
    {
        // The skew is on our side of the comparison: times in tokens may be as large as a calendar goes.
        var now = _time.GetUtcNow().UtcDateTime;
        return expires is { } end && end > now - _options.ClockSkew && !(notBefore > now + _options.ClockSkew);
    }

    /// <summary>Access tokens say so, or say nothing: whatever else is signed by the issuer was not made to come in with (RFC 8725 section 3.11).</summary>
    private static bool IsAccessTokenType(string? type) =>
        string.IsNullOrEmpty(type) || type.ToUpperInvariant() is "AT+JWT" or "APPLICATION/AT+JWT" or "JWT" or "APPLICATION/JWT";

    private static bool SameAudience(string left, string right) => left.AsSpan().TrimEnd('/').SequenceEqual(right.AsSpan().TrimEnd('/'));

    private static string? Subject(JsonWebToken token) => string.IsNullOrEmpty(token.Subject) ? null : token.Subject;

    private static string? Client(JsonWebToken token) =>
        ((string[])["client_id", "azp", "appid"]).Select(name => token.TryGetPayloadValue<string>(name, out var id) ? id : null).FirstOrDefault(id => !string.IsNullOrEmpty(id));

    private AccessDecision Decide(JsonWebToken token, string issuer)
    {
        // One text with spaces (RFC 9068), or a list, as some issuers write it; "scp" at Entra and Okta.
        var scope = ScopeSet.Of(token.Claims.Where(claim => claim.Type is "scope" or "scp").SelectMany(claim => claim.Value.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        if (!scope.Covers(_required))
        {
            return new(AccessOutcome.InsufficientScope, $"the access token lacks a scope; needed: {_required}");
        }

        var claims = new List<Claim> { new("iss", issuer, ClaimValueTypes.String, issuer) };
        Add("sub", Subject(token));
        Add("client_id", Client(token));
        Add("scope", scope.ToParameter());
        return AccessDecision.Admitted(new(new ClaimsIdentity(claims, "Bearer", "sub", ClaimTypes.Role)));

        void Add(string type, string? value)
        {
            if (value is not null)
            {
                claims.Add(new(type, value, ClaimValueTypes.String, issuer));
            }
        }
    }
}
