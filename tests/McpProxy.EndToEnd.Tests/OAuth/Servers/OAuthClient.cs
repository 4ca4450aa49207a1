using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.WebUtilities;

namespace McpProxy.EndToEnd.Tests.OAuth.Servers;

/// <summary>A client that an authorization server knows.</summary>
public sealed record OAuthClient(string Id)
{
    public string? Secret { get; init; }

    /// <summary>The only way in which the client may authenticate; <c>client_secret</c> for either way to show a secret.</summary>
    public string AuthMethod { get; init; } = "none";

    /// <summary>Where its users may be sent; none: any loopback address.</summary>
    public IReadOnlyList<string> RedirectUris { get; init; } = [];

    /// <summary>What its assertions are verified with.</summary>
    public AsymmetricAlgorithm? Key { get; init; }

    public bool Allows(string? redirectUri) => RedirectUris.Count > 0
        ? redirectUri is not null && RedirectUris.Contains(redirectUri, StringComparer.Ordinal)
        : Uri.TryCreate(redirectUri, UriKind.Absolute, out var uri) && uri is { Scheme: "http", IsLoopback: true };
}

/// <summary>How a client proves at the token endpoint who it is (RFC 6749 section 2.3, RFC 7523 section 2.2).</summary>
internal static class ClientAuthentication
{
    private const string JwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

    /// <summary>The client that made a request.</summary>
    /// <returns>The client; or what is wrong with its proof.</returns>
    public static (OAuthClient? Client, string Problem) Of(SeenRequest request, string issuer, Func<string, OAuthClient?> find)
    {
        var (method, id, proof) = Read(request);
        if (id is null || find(id) is not { } client)
        {
            return (null, $"no such client: {id}");
        }

        if (method != client.AuthMethod && !(client.AuthMethod == "client_secret" && method.StartsWith("client_secret_", StringComparison.Ordinal)))
        {
            return (null, $"{id} must use {client.AuthMethod}, not {method}");
        }

        var problem = method switch
        {
            "none" => null,
            "private_key_jwt" => ProblemOf(proof!, client, issuer),
            _ => proof == client.Secret ? null : "wrong secret",
        };
        return problem is null ? (client, "") : (null, problem);
    }

    private static (string Method, string? Id, string? Proof) Read(SeenRequest request)
    {
        var form = request.Form;
        if (request.Headers.GetValueOrDefault("Authorization") is { } header && header.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase))
        {
            var parts = Encoding.UTF8.GetString(Convert.FromBase64String(header["Basic ".Length..])).Split(':', 2);

            // Both halves are form-encoded first, which matters as soon as a secret has a colon or a percent sign.
            return ("client_secret_basic", Decoded(parts[0]), Decoded(parts[1]));
        }

        if (form.TryGetValue("client_assertion", out var assertion))
        {
            return form.GetValueOrDefault("client_assertion_type") == JwtBearer
                ? ("private_key_jwt", form.GetValueOrDefault("client_id") ?? Claims(assertion)["sub"]!.GetValue<string>(), assertion)
                : ("an unknown type of assertion", form.GetValueOrDefault("client_id"), null);
        }

        return form.TryGetValue("client_secret", out var secret)
            ? ("client_secret_post", form.GetValueOrDefault("client_id"), secret)
            : ("none", form.GetValueOrDefault("client_id"), null);
    }

    private static string? ProblemOf(string assertion, OAuthClient client, string issuer)
    {
        var parts = assertion.Split('.');
        var signed = Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}");
        var signature = WebEncoders.Base64UrlDecode(parts[2]);
        var algorithm = Parsed(parts[0])["alg"]!.GetValue<string>();
        var isGood = (client.Key, algorithm) switch
        {
            (ECDsa key, "ES256") => key.VerifyData(signed, signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation),
            (RSA key, "RS256") => key.VerifyData(signed, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
            (RSA key, "PS256") => key.VerifyData(signed, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pss),
            _ => false,
        };
        if (!isGood)
        {
            return $"the signature ({algorithm}) is not the client's";
        }

        var claims = Claims(assertion);
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        return (claims["iss"]?.GetValue<string>(), claims["sub"]?.GetValue<string>(), claims["aud"]?.GetValue<string>()) != (client.Id, client.Id, issuer) ? $"wrong iss, sub or aud: {claims}"
            : claims["exp"]?.GetValue<long>() is not { } expiry || expiry < now || expiry > now + 600 ? $"wrong exp: {claims}"
            : claims["jti"] is null ? "no jti"
            : null;
    }

    private static JsonObject Claims(string jwt) => Parsed(jwt.Split('.')[1]);

    private static JsonObject Parsed(string part) => JsonNode.Parse(WebEncoders.Base64UrlDecode(part))!.AsObject();

    private static string Decoded(string text) => Uri.UnescapeDataString(text.Replace('+', ' '));
}
