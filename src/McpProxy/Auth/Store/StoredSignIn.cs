using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using McpProxy.Auth.Clients;

namespace McpProxy.Auth.Store;

/// <summary>What is kept of the sign-ins to one server.</summary>
internal sealed record StoredSignIn
{
    public string Server { get; init; } = "";

    public string? Resource { get; init; }

    public string? Profile { get; init; }

    /// <summary>The issuer that was used last; null when nobody has signed in.</summary>
    public string? Issuer { get; init; }

    /// <summary>Whether another program's store has been looked at: what the user forgets here must not come back from there.</summary>
    public bool Imported { get; init; }

    /// <summary>Clients and tokens by issuer: neither is ever used with another.</summary>
    public Dictionary<string, StoredIssuer> Issuers { get; init; } = new(StringComparer.Ordinal);

    /// <summary>What is kept for the issuer used last.</summary>
    [JsonIgnore]
    public StoredIssuer? Current => Issuer is null ? null : Issuers.GetValueOrDefault(Issuer);

    /// <summary>Checks what a file held, which somebody may have edited.</summary>
    /// <exception cref="JsonException">It is nothing that was ever written.</exception>
    /// <exception cref="FormatException">A key in it is none.</exception>
    /// <exception cref="CryptographicException">A key in it is none.</exception>
    public StoredSignIn Checked()
    {
        if (Issuers is null || Server is null || Issuers.Values.Any(issuer => issuer is null
            || issuer.Client is { ClientId: null or "" } or { RedirectUris: null }
            || issuer.Tokens is { AccessToken: null or "" } or { ClientId: null } or { TokenType: null }))
        {
            throw new JsonException("a part of it is missing");
        }

        foreach (var key in Issuers.Values.Select(issuer => issuer.DpopKey).OfType<string>())
        {
            JwtSigner.Import(key).Dispose();
        }

        return this;
    }

    public static StoredSignIn For(StoreKey key) => new() { Server = key.Server, Resource = key.Resource, Profile = key.Profile };

    public bool IsOf(StoreKey key) => Server == key.Server && Resource == key.Resource && Profile == key.Profile;

    /// <summary>This with another state for an issuer, which becomes the one used last.</summary>
    public StoredSignIn With(string issuer, Func<StoredIssuer, StoredIssuer> change) => this with
    {
        Issuer = issuer,
        Issuers = new(Issuers, StringComparer.Ordinal) { [issuer] = change(Issuers.GetValueOrDefault(issuer) ?? new()) },
    };
}
