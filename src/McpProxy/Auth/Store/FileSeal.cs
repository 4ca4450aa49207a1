using System.Security.Cryptography;

namespace McpProxy.Auth.Store;

/// <summary>Seals files with AES-256-GCM.</summary>
internal sealed class FileSeal(byte[] key)
{
    public const int KeySize = 32;

    private const int NonceSize = 12;
    private const int TagSize = 16;

    /// <summary>Seals.</summary>
    /// <returns>Nonce, ciphertext and tag, in base64.</returns>
    public string Close(ReadOnlySpan<byte> content)
    {
        var result = new byte[NonceSize + content.Length + TagSize];
        var nonce = result.AsSpan(0, NonceSize);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(key, TagSize);
        aes.Encrypt(nonce, content, result.AsSpan(NonceSize, content.Length), result.AsSpan(NonceSize + content.Length));
        return Convert.ToBase64String(result);
    }

    /// <summary>Opens what <see cref="Close"/> gave.</summary>
    /// <exception cref="CryptographicException">It was sealed with another key, or changed.</exception>
    /// <exception cref="FormatException">It is no base64.</exception>
    public byte[] Open(string text)
    {
        var bytes = Convert.FromBase64String(text);
        if (bytes.Length < NonceSize + TagSize)
        {
            throw new CryptographicException("it is too short");
        }

        var content = new byte[bytes.Length - NonceSize - TagSize];
        using var aes = new AesGcm(key, TagSize);
        aes.Decrypt(bytes.AsSpan(0, NonceSize), bytes.AsSpan(NonceSize, content.Length), bytes.AsSpan(NonceSize + content.Length), content);
        return content;
    }
}
