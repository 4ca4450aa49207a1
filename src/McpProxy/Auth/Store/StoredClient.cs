using McpProxy.Auth.Clients;

namespace McpProxy.Auth.Store;

/// <summary>A client registered dynamically.</summary>
internal sealed record StoredClient
{
    public string ClientId { get; init; } = "";

    public string? ClientSecret { get; init; }

    public string? TokenEndpointAuthMethod { get; init; }

    public string[] RedirectUris { get; init; } = [];

    public long? ClientSecretExpiresAt { get; init; }

    public static StoredClient Of(OAuthClient client) => new()
    {
        ClientId = client.Id,
        ClientSecret = client.Secret,
        TokenEndpointAuthMethod = client.AuthMethod,
        RedirectUris = [.. client.RedirectUris],
        ClientSecretExpiresAt = client.SecretExpiresAt?.ToUnixTimeSeconds(),
    };

    public OAuthClient ToClient(string issuer) => new(ClientId)
    {
        Secret = ClientSecret,
        AuthMethod = TokenEndpointAuthMethod,
        RedirectUris = RedirectUris,
        Issuer = issuer,
        SecretExpiresAt = UnixTime.FromSeconds(ClientSecretExpiresAt),
        IsRegistered = true,
    };
}
