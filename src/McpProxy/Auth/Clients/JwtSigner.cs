using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace McpProxy.Auth.Clients;

/// <summary>Signs the JWTs of the client: its assertions (RFC 7523) and its proofs of possession (RFC 9449).</summary>
internal sealed class JwtSigner : IDisposable
{
    private const string P256 = "1.2.840.10045.3.1.7";
    private const string P384 = "1.3.132.0.34";
    private const string P521 = "1.3.132.0.35";

    private readonly ECDsa? _ec;
    private readonly RSA? _rsa;

    private JwtSigner(ECDsa? ec, RSA? rsa)
    {
        _ec = ec;
        _rsa = rsa;
    }

    /// <summary>The algorithm of an EC key; an RSA key can do several.</summary>
    public string Algorithm => _ec?.KeySize switch
    {
        256 => "ES256",
        384 => "ES384",
        521 => "ES512",
        _ => "RS256",
    };

    /// <summary>A new P-256 key.</summary>
    public static JwtSigner Create() => new(ECDsa.Create(ECCurve.NamedCurves.nistP256), null);

    /// <summary>Takes a private key.</summary>
    /// <exception cref="CryptographicException">The text is no PEM with an EC or RSA private key.</exception>
    public static JwtSigner FromPem(string pem)
    {
        var ec = ECDsa.Create();
        try
        {
            ec.ImportFromPem(pem);
            _ = ec.ExportParameters(includePrivateParameters: true);
            return ec.ExportParameters(includePrivateParameters: false).Curve.Oid.Value is P256 or P384 or P521 ? new(ec, null) : throw new CryptographicException("a curve that JWTs are not signed with");
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            ec.Dispose();
        }

        var rsa = RSA.Create();
        try
        {
            rsa.ImportFromPem(pem);
            _ = rsa.ExportParameters(includePrivateParameters: true);
            return new(null, rsa);
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            rsa.Dispose();
            throw new CryptographicException("the text is no PEM with an EC (P-256, P-384, P-521) or RSA private key, or the key has a password", e);
        }
    }

    /// <summary>Takes a key that <see cref="Export"/> gave.</summary>
    public static JwtSigner Import(string pkcs8)
    {
        var ec = ECDsa.Create();
        ec.ImportPkcs8PrivateKey(Convert.FromBase64String(pkcs8), out _);
        return new(ec, null);
    }

    /// <summary>The private key of an EC signer, for the store.</summary>
    public string Export() => Convert.ToBase64String(_ec!.ExportPkcs8PrivateKey());

    /// <summary>The algorithm to use with a server, by those that it names.</summary>
    /// <exception cref="OAuthException">It takes none that this key can do.</exception>
    public string Choose(IReadOnlyList<string>? supported)
    {
        if (supported is null or { Count: 0 } || supported.Contains(Algorithm, StringComparer.Ordinal))
        {
            return Algorithm;
        }

        return (_rsa is null ? null : supported.FirstOrDefault(name => name is "RS384" or "RS512" or "PS256" or "PS384" or "PS512"))
            ?? throw new OAuthException(OAuthFailure.Unusable, $"the authorization server takes client assertions signed with {string.Join(", ", supported)}; the key can do {Algorithm}");
    }

    /// <summary>The public key, as the JSON text of a JWK (RFC 7517) with its members in the order of RFC 7638.</summary>
    public string PublicJwk()
    {
        var key = _ec!.ExportParameters(includePrivateParameters: false);
        return $$"""{"crv":"P-256","kty":"EC","x":"{{Base64Url.EncodeToString(key.Q.X)}}","y":"{{Base64Url.EncodeToString(key.Q.Y)}}"}""";
    }

    /// <summary>Makes a JWT.</summary>
    /// <param name="header">The JSON text of the header.</param>
    /// <param name="payload">The JSON text of the claims.</param>
    /// <param name="algorithm">The algorithm that the header names.</param>
    public string Sign(string header, string payload, string algorithm)
    {
        var text = $"{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(header))}.{Base64Url.EncodeToString(Encoding.UTF8.GetBytes(payload))}";
        var data = Encoding.ASCII.GetBytes(text);
        var hash = algorithm[2..] switch
        {
            "384" => HashAlgorithmName.SHA384,
            "512" => HashAlgorithmName.SHA512,
            _ => HashAlgorithmName.SHA256,
        };
        var signature = _ec is not null
            ? _ec.SignData(data, hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation)
            : _rsa!.SignData(data, hash, algorithm[0] == 'P' ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1);
        return $"{text}.{Base64Url.EncodeToString(signature)}";
    }

    public void Dispose()
    {
        _ec?.Dispose();
        _rsa?.Dispose();
    }
}
