using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.WebUtilities;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>Verifies that whoever sends a request has the key that a token is bound to (RFC 9449 section 4.3).</summary>
internal sealed class DpopVerifier
{
    private readonly ConcurrentDictionary<string, byte> _seen = new(StringComparer.Ordinal);

    /// <summary>The thumbprint of the key that a proof was made with.</summary>
    /// <param name="request">The request.</param>
    /// <param name="url">Where it came to.</param>
    /// <param name="token">The token that it carries; null where there is none yet.</param>
    /// <param name="nonce">What the proof must have been made with; null for nothing.</param>
    /// <returns>The thumbprint; or what is wrong.</returns>
    public (string? Thumbprint, string Problem) Verify(SeenRequest request, string url, string? token, string? nonce)
    {
        if (request.Headers.GetValueOrDefault("DPoP")?.Split('.') is not { Length: 3 } parts)
        {
            return (null, "no proof");
        }

        var header = Parsed(parts[0]);
        var claims = Parsed(parts[1]);
        var jwk = header["jwk"]!;
        using var key = ECDsa.Create(new ECParameters
        {
            Curve = ECCurve.NamedCurves.nistP256,
            Q = new() { X = Bytes(jwk["x"]), Y = Bytes(jwk["y"]) },
        });
        var signed = Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}");
        var problem = Text(header["typ"]) != "dpop+jwt" || Text(header["alg"]) != "ES256" || jwk["d"] is not null ? $"wrong header: {header}"
            : !key.VerifyData(signed, WebEncoders.Base64UrlDecode(parts[2]), HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation) ? "wrong signature"
            : Text(claims["htm"]) != request.Method || Text(claims["htu"]) != url ? $"for another request than {request.Method} {url}: {claims}"
            : Math.Abs(claims["iat"]!.GetValue<long>() - DateTimeOffset.UtcNow.ToUnixTimeSeconds()) > 300 ? $"of another time: {claims}"
            : Text(claims["ath"]) != (token is null ? null : Hash(token)) ? $"for another token: {claims}"
            : nonce is not null && Text(claims["nonce"]) != nonce ? "use_dpop_nonce"
            : !_seen.TryAdd(Text(claims["jti"])!, 0) ? "used before"
            : null;
        return problem is null
            ? (Hash($$"""{"crv":"P-256","kty":"EC","x":"{{Text(jwk["x"])}}","y":"{{Text(jwk["y"])}}"}"""), "")
            : (null, problem);
    }

    private static JsonObject Parsed(string part) => JsonNode.Parse(WebEncoders.Base64UrlDecode(part))!.AsObject();

    private static string? Text(JsonNode? node) => node?.GetValue<string>();

    private static byte[] Bytes(JsonNode? node) => WebEncoders.Base64UrlDecode(Text(node)!);

    private static string Hash(string text) => WebEncoders.Base64UrlEncode(SHA256.HashData(Encoding.ASCII.GetBytes(text)));
}
