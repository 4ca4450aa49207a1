using System.Security.Claims;
using System.Security.Cryptography;

namespace McpProxy.AspNetCore.Access;

/// <summary>Names and passwords (RFC 7617), compared in constant time.</summary>
internal sealed class BasicScheme(IEnumerable<BasicUser> users) : IAccessScheme
{
    private readonly (byte[] Hash, AccessDecision Decision)[] _users = [.. users.Select(user => (user.Hash, AccessDecision.Admitted(UserOf(user))))];
    private readonly AccessDecision _unknown = AccessDecision.Refused("no such user, or another password");
    private readonly AccessDecision _malformed = AccessDecision.Refused("what follows Basic is not base64");

    public string Name => "basic";

    public ValueTask<AccessDecision?> DecideAsync(PresentedCredentials credentials, CancellationToken cancellationToken) =>
        new(credentials.Is("Basic") ? Decide(credentials.Value) : null);

    private AccessDecision Decide(ReadOnlySpan<char> encoded)
    {
        var bytes = new byte[encoded.Length];
        if (!Convert.TryFromBase64Chars(encoded, bytes, out var length))
        {
            return _malformed;
        }

        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(bytes.AsSpan(0, length), hash);
        var decision = _unknown;
        foreach (var (known, admitted) in _users)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, known))
            {
                decision = admitted;
            }
        }

        return decision;
    }

    private static ClaimsPrincipal UserOf(BasicUser user) => new(new ClaimsIdentity([new Claim("sub", user.Name)], "Basic", "sub", ClaimTypes.Role));
}
