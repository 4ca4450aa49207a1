using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace McpProxy.AspNetCore.Access.Tokens;

/// <summary>
/// Remembers for a short while which tokens were found good, by their hashes, so that a client's next requests cost no signature check. Bounded: beyond,
/// the oldest go.
/// </summary>
internal sealed class CheckedTokens(TimeProvider time)
{
    public const int MaxCount = 1000;

    private readonly Lock _gate = new();
    private readonly Dictionary<UInt128, CheckedToken> _tokens = [];
    private readonly Queue<UInt128> _order = new();

    /// <summary>The key that a token is remembered by: half of its SHA-256, which nobody can find another token for.</summary>
    public static UInt128 KeyOf(ReadOnlySpan<char> token)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(MemoryMarshal.AsBytes(token), hash);
        return BinaryPrimitives.ReadUInt128LittleEndian(hash);
    }

    /// <summary>A token that is still good; null when it has to be checked.</summary>
    public AccessDecision? Find(UInt128 key)
    {
        lock (_gate)
        {
            return _tokens.TryGetValue(key, out var token) && time.GetUtcNow() < token.Until && ReferenceEquals(token.Issuer.Known, token.Keys) ? token.Decision : null;
        }
    }

    /// <summary>Remembers a token.</summary>
    public void Add(UInt128 key, CheckedToken token)
    {
        lock (_gate)
        {
            if (!_tokens.TryAdd(key, token))
            {
                _tokens[key] = token;
                return;
            }

            _order.Enqueue(key);
            if (_order.Count > MaxCount)
            {
                _tokens.Remove(_order.Dequeue());
            }
        }
    }
}
