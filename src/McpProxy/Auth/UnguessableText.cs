using System.Buffers.Text;
using System.Security.Cryptography;

namespace McpProxy.Auth;

/// <summary>Text that nobody can guess.</summary>
internal static class UnguessableText
{
    private const int Bytes = 32;

    /// <summary>43 characters that are safe in URLs, with 256 random bits in them.</summary>
    public static string Create() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(Bytes));

    /// <summary>The PKCE challenge of a verifier (RFC 7636, <c>S256</c>); also the hash of a token in a DPoP proof.</summary>
    public static string Hash(string text) => Base64Url.EncodeToString(SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(text)));
}
