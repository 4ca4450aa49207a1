using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace McpProxy.AspNetCore.Tests.Access;

/// <summary>A key that tokens are signed with.</summary>
internal sealed record SigningKey(string Kid, AsymmetricAlgorithm Key)
{
    /// <summary>A secret in place of the key, as for HS256.</summary>
    public byte[]? Secret { get; init; }

    /// <summary>Members besides the key itself.</summary>
    public JsonObject Members { get; init; } = new() { ["use"] = "sig" };

    /// <summary>The JSON Web Key without what is private.</summary>
    public JsonNode Public()
    {
        var key = JsonNode.Parse(Members.ToJsonString())!.AsObject();
        key["kid"] = Kid;
        if (Key is RSA rsa)
        {
            var parameters = rsa.ExportParameters(includePrivateParameters: false);
            (key["kty"], key["n"], key["e"]) = ("RSA", Base64Url.EncodeToString(parameters.Modulus), Base64Url.EncodeToString(parameters.Exponent));
        }
        else
        {
            var parameters = ((ECDsa)Key).ExportParameters(includePrivateParameters: false);
            (key["kty"], key["crv"]) = ("EC", Key.KeySize switch { 256 => "P-256", 384 => "P-384", _ => "P-521" });
            (key["x"], key["y"]) = (Base64Url.EncodeToString(parameters.Q.X), Base64Url.EncodeToString(parameters.Q.Y));
        }

        return key;
    }

    public byte[] Sign(byte[] data, string algorithm)
    {
        if (algorithm == "none")
        {
            return [];
        }

        var hash = algorithm[^3..] switch { "256" => HashAlgorithmName.SHA256, "384" => HashAlgorithmName.SHA384, _ => HashAlgorithmName.SHA512 };
        return algorithm[0] switch
        {
            'H' => HMACSHA256.HashData(Secret!, data),
            'E' => ((ECDsa)Key).SignData(data, hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation),
            'P' => ((RSA)Key).SignData(data, hash, RSASignaturePadding.Pss),
            _ => ((RSA)Key).SignData(data, hash, RSASignaturePadding.Pkcs1),
        };
    }
}
