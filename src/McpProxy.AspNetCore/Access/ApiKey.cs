using System.Security.Cryptography;
using System.Text;

namespace McpProxy.AspNetCore.Access;

/// <summary>A key that lets its bearer in. Only its hash is kept.</summary>
public sealed class ApiKey
{
    private ApiKey(byte[] hash) => Hash = hash;

    /// <summary>The SHA-256 of the key.</summary>
    internal byte[] Hash { get; }

    /// <summary>Makes a key of its text.</summary>
    /// <param name="key">The key, as clients send it.</param>
    /// <exception cref="ArgumentException">The key is empty, or has characters that a header cannot carry. The message does not show it.</exception>
    public static ApiKey Of(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        if (key.Length == 0)
        {
            throw new ArgumentException("the key is empty", nameof(key));
        }

        // Visible characters of ASCII: others are cut off, joined or read in another way by what is between client and server.
        return key.AsSpan().ContainsAnyExceptInRange('!', '~')
            ? throw new ArgumentException("the key has a space or a character that is not ASCII, which no header can carry unchanged", nameof(key))
            : new(SHA256.HashData(Encoding.ASCII.GetBytes(key)));
    }
}
