using System.Security.Cryptography;
using System.Text;

namespace McpProxy.AspNetCore.Access;

/// <summary>A user who comes in by name and password (RFC 7617). Of the password only a hash is kept.</summary>
public sealed class BasicUser
{
    private BasicUser(string name, byte[] hash)
    {
        Name = name;
        Hash = hash;
    }

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>The SHA-256 of <c>name:password</c>.</summary>
    internal byte[] Hash { get; }

    /// <summary>Makes a user.</summary>
    /// <param name="name">The name; it has no colon in it.</param>
    /// <param name="password">The password.</param>
    /// <exception cref="ArgumentException">One is empty, or has characters that cannot be sent. The message shows neither.</exception>
    public static BasicUser Of(string name, string password)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(password);
        if (string.IsNullOrWhiteSpace(name) || string.IsNullOrWhiteSpace(password))
        {
            throw new ArgumentException("the name or the password is empty", nameof(name));
        }

        // RFC 7617 section 2: no control characters in either, no colon in the name.
        return name.Contains(':', StringComparison.Ordinal) || name.Any(char.IsControl) || password.Any(char.IsControl)
            ? throw new ArgumentException("the name has a colon in it, or one of the two a control character", nameof(name))
            : new(name, SHA256.HashData(Encoding.UTF8.GetBytes($"{name}:{password}")));
    }
}
