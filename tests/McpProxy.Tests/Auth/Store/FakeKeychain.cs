using McpProxy.Auth.Keychain;

namespace McpProxy.Tests.Auth.Store;

/// <summary>A keychain in memory.</summary>
internal sealed class FakeKeychain : IKeychain
{
    public string Name => "fake";

    /// <summary>What is in it.</summary>
    public Dictionary<string, byte[]> Secrets { get; } = new(StringComparer.Ordinal);

    /// <summary>Whether it does not answer.</summary>
    public bool IsLocked { get; set; }

    /// <summary>How often it was asked for something.</summary>
    public int Questions { get; private set; }

    public byte[]? Read(string account)
    {
        Ask();
        return Secrets.GetValueOrDefault(account);
    }

    public void Write(string account, ReadOnlySpan<byte> secret)
    {
        Ask();
        Secrets[account] = secret.ToArray();
    }

    public void Delete(string account)
    {
        Ask();
        Secrets.Remove(account);
    }

    private void Ask()
    {
        Questions++;
        if (IsLocked)
        {
            throw new KeychainException("it is locked");
        }
    }
}
