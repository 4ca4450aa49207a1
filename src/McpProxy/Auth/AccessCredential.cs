using System.Net;
using McpProxy.Auth.Grants;
using McpProxy.Transports.Http;

namespace McpProxy.Auth;

/// <summary>Tokens in use: what requests to the server carry (RFC 6750 section 2.1, RFC 9449 section 7.1).</summary>
internal sealed class AccessCredential(TokenSet tokens, string issuer, string? resource, DpopKey? dpop, TimeProvider time) : IRequestCredential
{
    private readonly string _header = $"{(tokens.IsDpop ? "DPoP" : "Bearer")} {tokens.AccessToken}";

    public TokenSet Tokens => tokens;

    /// <summary>Who issued them.</summary>
    public string Issuer => issuer;

    /// <summary>The <c>resource</c> that they were requested for; null when none was named.</summary>
    public string? Resource => resource;

    public DpopKey? Dpop => dpop;

    /// <summary>Where the tokens come from.</summary>
    public CredentialOrigin Origin { get; set; }

    /// <summary>Whether the server has ever taken them.</summary>
    public bool IsProven { get; private set; }

    public void Apply(HttpRequestMessage request)
    {
        request.Headers.TryAddWithoutValidation("Authorization", _header);
        if (tokens.IsDpop && dpop is not null)
        {
            request.Headers.TryAddWithoutValidation("DPoP", dpop.Proof(request.Method.Method, request.RequestUri!, tokens.AccessToken, time.GetUtcNow()));
        }
    }

    public void Observe(HttpResponseMessage response)
    {
        IsProven |= response.StatusCode != HttpStatusCode.Unauthorized;
        if (tokens.IsDpop && dpop is not null && response.Headers.TryGetValues("DPoP-Nonce", out var nonces))
        {
            dpop.KeepNonce(response.RequestMessage!.RequestUri!, nonces.First());
        }
    }
}
