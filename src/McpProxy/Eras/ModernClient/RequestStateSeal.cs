using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace McpProxy.Eras.ModernClient;

/// <summary>
/// Seals what a client gives back with the answers to questions: which call it is about, which round, and until when
/// (MCP 2026-07-28, "Multi Round-Trip Requests", "Server Requirements"). Bound to the principal, the method and the
/// parameters, so that it opens for nobody else and for no other call. The key lives as long as the process.
/// </summary>
internal sealed class RequestStateSeal : IDisposable
{
    private const int NonceSize = 12;
    private const int TagSize = 16;
    private const int PlainSize = 16 + sizeof(int) + sizeof(long);
    private const int SealedSize = NonceSize + PlainSize + TagSize;

    private readonly AesGcm _aes = new(RandomNumberGenerator.GetBytes(32), TagSize);
    private readonly Lock _gate = new();

    /// <summary>Seals.</summary>
    /// <param name="call">The call.</param>
    /// <param name="round">Which of the call's rounds of questions it is about.</param>
    /// <param name="expiry">When it lapses, in seconds of Unix time.</param>
    /// <param name="binding">What it is bound to: see <see cref="BindingOf"/>.</param>
    public string Seal(Guid call, int round, long expiry, ReadOnlySpan<byte> binding)
    {
        Span<byte> plain = stackalloc byte[PlainSize];
        call.TryWriteBytes(plain);
        BinaryPrimitives.WriteInt32BigEndian(plain[16..], round);
        BinaryPrimitives.WriteInt64BigEndian(plain[20..], expiry);
        Span<byte> whole = stackalloc byte[SealedSize];
        RandomNumberGenerator.Fill(whole[..NonceSize]);
        lock (_gate)
        {
            _aes.Encrypt(whole[..NonceSize], plain, whole[NonceSize..^TagSize], whole[^TagSize..], binding);
        }

        return Base64Url.EncodeToString(whole);
    }

    /// <summary>Opens.</summary>
    /// <returns>Null when it was not sealed here, not for this binding, or was changed.</returns>
    public (Guid Call, int Round, long Expiry)? Open(string text, ReadOnlySpan<byte> binding)
    {
        Span<byte> whole = stackalloc byte[SealedSize];
        if (Base64Url.DecodeFromChars(text, whole, out _, out var length) != OperationStatus.Done || length != SealedSize)
        {
            return null;
        }

        Span<byte> plain = stackalloc byte[PlainSize];
        try
        {
            lock (_gate)
            {
                _aes.Decrypt(whole[..NonceSize], whole[NonceSize..^TagSize], whole[^TagSize..], plain, binding);
            }
        }
        catch (CryptographicException)
        {
            return null;
        }

        return (new(plain[..16]), BinaryPrimitives.ReadInt32BigEndian(plain[16..]), BinaryPrimitives.ReadInt64BigEndian(plain[20..]));
    }

    /// <summary>What a state is bound to: the principal, the method, and what the call asks for.</summary>
    public static byte[] BindingOf(string? principal, string method, ReadOnlyMemory<byte> parameters) =>
        SHA256.HashData([.. SHA256.HashData(Encoding.UTF8.GetBytes(principal is null ? "-" : $"+{principal}")), .. SHA256.HashData(Encoding.UTF8.GetBytes(method)), .. ParamsDigest.Of(parameters)]);

    public void Dispose() => _aes.Dispose();
}
