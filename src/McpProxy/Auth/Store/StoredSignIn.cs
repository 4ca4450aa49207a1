using System.Text.Json.Serialization;

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

    public static StoredSignIn For(StoreKey key) => new() { Server = key.Server, Resource = key.Resource, Profile = key.Profile };

    public bool IsOf(StoreKey key) => Server == key.Server && Resource == key.Resource && Profile == key.Profile;

    /// <summary>This with another state for an issuer, which becomes the one used last.</summary>
    public StoredSignIn With(string issuer, Func<StoredIssuer, StoredIssuer> change) => this with
    {
        Issuer = issuer,
        Issuers = new(Issuers, StringComparer.Ordinal) { [issuer] = change(Issuers.GetValueOrDefault(issuer) ?? new()) },
    };
}
