using Microsoft.IdentityModel.Tokens;

namespace McpProxy.AspNetCore.Access.Tokens;

/// <summary>The keys that an issuer signs with, as it published them once (RFC 7517).</summary>
internal sealed class SigningKeys
{
    private readonly List<JsonWebKey> _keys = [];
    private readonly string _text;

    /// <summary>Reads a key set. What is no key for checking signatures, or one that more than the issuer has, is left out.</summary>
    public SigningKeys(IReadOnlyList<string> keys)
    {
        _text = string.Join('\n', keys);
        foreach (var text in keys)
        {
            if (TryRead(text) is { } key)
            {
                _keys.Add(key);
            }
        }
    }

    public bool IsEmpty => _keys.Count == 0;

    /// <summary>Whether there is a key of this id; a token that names none may be of any.</summary>
    public bool Has(string? kid) => string.IsNullOrEmpty(kid) ? _keys.Count > 0 : _keys.Exists(key => key.Kid == kid);

    /// <summary>Whether another publication says the same.</summary>
    public bool IsSameAs(SigningKeys? other) => _text == other?._text;

    /// <summary>The keys that a token may be signed with.</summary>
    /// <param name="kid">The id that it names, if any.</param>
    /// <param name="algorithm">The algorithm that it names.</param>
    public IReadOnlyList<SecurityKey> For(string? kid, string algorithm) =>
        [.. _keys.Where(key => (string.IsNullOrEmpty(kid) || key.Kid == kid) && (string.IsNullOrEmpty(key.Alg) || key.Alg == algorithm) && IsOfKind(key, algorithm))];

    private static bool IsOfKind(JsonWebKey key, string algorithm) => key.Kty == (algorithm[0] == 'E' ? JsonWebAlgorithmsKeyTypes.EllipticCurve : JsonWebAlgorithmsKeyTypes.RSA);

    private static JsonWebKey? TryRead(string text)
    {
        try
        {
            var key = new JsonWebKey(text);
            return key.Kty is JsonWebAlgorithmsKeyTypes.RSA or JsonWebAlgorithmsKeyTypes.EllipticCurve
                && (string.IsNullOrEmpty(key.Use) || key.Use == "sig")
                && (key.KeyOps.Count == 0 || key.KeyOps.Contains("verify"))
                && !key.HasPrivateKey ? key : null;
        }
        catch (ArgumentException)
        {
            return null;
        }
    }
}
