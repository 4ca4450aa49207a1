using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.WebUtilities;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>Makes access tokens that tell what they are good for (RFC 9068).</summary>
public sealed class TokenSigner
{
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    /// <summary>The key that everybody may know.</summary>
    public JsonObject KeySet()
    {
        var point = _key.ExportParameters(includePrivateParameters: false).Q;
        return new()
        {
            ["keys"] = new JsonArray(new JsonObject
            {
                ["kty"] = "EC",
                ["crv"] = "P-256",
                ["kid"] = "1",
                ["use"] = "sig",
                ["alg"] = "ES256",
                ["x"] = WebEncoders.Base64UrlEncode(point.X!),
                ["y"] = WebEncoders.Base64UrlEncode(point.Y!),
            }),
        };
    }

    public string Sign(Grant grant, string issuer, int lifetime)
    {
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        var header = new JsonObject { ["alg"] = "ES256", ["kid"] = "1", ["typ"] = "at+jwt" };
        var claims = new JsonObject
        {
            ["iss"] = issuer,
            ["sub"] = grant.Account,
            ["client_id"] = grant.ClientId,
            ["aud"] = grant.Resource,
            ["iat"] = now,
            ["exp"] = now + lifetime,
            ["scope"] = string.Join(' ', grant.Scopes),
            ["jti"] = Guid.NewGuid().ToString(),
        };
        var signed = $"{Encoded(header)}.{Encoded(claims)}";
        return $"{signed}.{WebEncoders.Base64UrlEncode(_key.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation))}";
    }

    private static string Encoded(JsonObject part) => WebEncoders.Base64UrlEncode(Encoding.UTF8.GetBytes(part.ToJsonString()));
}
