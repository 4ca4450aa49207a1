using System.Buffers;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;

namespace McpProxy.AspNetCore.Access;

/// <summary>Keys that were handed out beforehand. How long a check takes tells nothing: what is compared is hashes, in constant time, and all of them.</summary>
internal sealed class ApiKeyScheme(IEnumerable<ApiKey> keys) : IAccessScheme
{
    private const int MaxOnStack = 2048;

    // A client is known by a part of its key's hash: the same after a restart and on every replica, and nothing to come in with.
    private readonly (byte[] Hash, AccessDecision Decision)[] _keys = [.. keys.Select(key => (key.Hash, AccessDecision.Admitted(UserOf(key))))];
    private readonly AccessDecision _unknown = AccessDecision.Refused("no such key");

    public string Name => "API key";

    public ValueTask<AccessDecision?> DecideAsync(PresentedCredentials credentials, CancellationToken cancellationToken) =>
        new(credentials.ApiKey is { } key ? Decide(key) : credentials.Is("Bearer") ? Decide(credentials.Value) : null);

    private AccessDecision Decide(ReadOnlySpan<char> key)
    {
        var bytes = key.Length <= MaxOnStack ? stackalloc byte[MaxOnStack] : new byte[key.Length];
        if (Ascii.FromUtf16(key, bytes, out var length) != OperationStatus.Done)
        {
            return _unknown;
        }

        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(bytes[..length], hash);
        var decision = _unknown;
        foreach (var (known, admitted) in _keys)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, known))
            {
                decision = admitted;
            }
        }

        return decision;
    }

    private static ClaimsPrincipal UserOf(ApiKey key) =>
        new(new ClaimsIdentity([new Claim("sub", $"key-{Convert.ToHexStringLower(key.Hash.AsSpan(0, 8))}")], "ApiKey", "sub", ClaimTypes.Role));
}
