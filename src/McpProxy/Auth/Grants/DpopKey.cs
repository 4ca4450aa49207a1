using System.Collections.Concurrent;
using McpProxy.Auth.Clients;
using McpProxy.Transports.Http;

namespace McpProxy.Auth.Grants;

/// <summary>The key that tokens are bound to, and the proofs that requests carry (RFC 9449).</summary>
internal sealed class DpopKey(JwtSigner signer) : IDisposable
{
    private readonly ConcurrentDictionary<string, string> _nonces = new(StringComparer.OrdinalIgnoreCase);
    private readonly string _header = $$"""{"typ":"dpop+jwt","alg":"ES256","jwk":{{signer.PublicJwk()}}}""";

    /// <summary>The private key, for the store.</summary>
    public string Export() => signer.Export();

    /// <summary>A proof for one request (RFC 9449 section 4.2).</summary>
    /// <param name="method">The request's method.</param>
    /// <param name="uri">Where it goes.</param>
    /// <param name="token">The access token that it carries, or null.</param>
    /// <param name="now">The time.</param>
    public string Proof(string method, Uri uri, string? token, DateTimeOffset now)
    {
        var payload = JsonText.Object(writer =>
        {
            writer.WriteString("jti", UnguessableText.Create());
            writer.WriteString("htm", method);
            writer.WriteString("htu", uri.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped));
            writer.WriteNumber("iat", now.ToUnixTimeSeconds());
            if (token is not null)
            {
                writer.WriteString("ath", UnguessableText.Hash(token));
            }

            if (_nonces.TryGetValue(UpstreamHttpClient.Describe(uri), out var nonce))
            {
                writer.WriteString("nonce", nonce);
            }
        });
        return signer.Sign(_header, payload, "ES256");
    }

    /// <summary>Remembers the nonce that a server wants in the next proof.</summary>
    public void KeepNonce(Uri uri, string nonce) => _nonces[UpstreamHttpClient.Describe(uri)] = nonce;

    public void Dispose() => signer.Dispose();
}
