using System.Security.Cryptography;
using McpProxy.Auth.Keychain;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Auth.Keychain;

/// <summary>Real keychains: on Linux a keyring of the tests' own, elsewhere the one of the person who runs the tests.</summary>
public sealed class KeychainTests
{
    private readonly byte[] _secret = RandomNumberGenerator.GetBytes(32);

    [Fact]
    public void A_keyring_keeps_secrets()
    {
        using var keyring = new PrivateKeyring();
        keyring.StartDaemon(unlocked: true);
        using var keychain = new RemoteKeychain(keyring.Variables);
        keychain.Name.ShouldBe("Secret Service keyring");
        KeepsSecrets(keychain);
    }

    [Fact]
    public void The_keychain_of_Windows_or_macOS_keeps_secrets()
    {
        Assert.SkipWhen(OperatingSystem.IsLinux(), "the keyring of Linux has tests of its own");
        Assert.SkipUnless(Environment.GetEnvironmentVariable("CI") == "true", "this writes to the keychain of whoever runs it; with CI=true it is done");
        KeepsSecrets(SystemKeychain.Find().ShouldNotBeNull());
    }

    [Fact]
    public void Another_process_finds_the_secret_even_when_the_keyring_was_started_anew()
    {
        using var keyring = new PrivateKeyring();
        keyring.StartDaemon(unlocked: true);
        Write(keyring);
        keyring.StopDaemon();
        keyring.StartDaemon(unlocked: true);
        using var keychain = new RemoteKeychain(keyring.Variables);
        keychain.Read("account").ShouldBe(_secret);
    }

    [Fact]
    public void A_locked_keyring_is_not_mistaken_for_an_empty_one()
    {
        using var keyring = new PrivateKeyring();
        keyring.StartDaemon(unlocked: true);
        Write(keyring);
        keyring.StopDaemon();
        keyring.StartDaemon(unlocked: false);
        using var keychain = new RemoteKeychain(keyring.Variables);
        Refusal(() => keychain.Read("account")).ShouldContain("locked");
        Refusal(() => keychain.Delete("account")).ShouldContain("locked");
        Refusal(() => keychain.Write("account", new byte[32])).ShouldNotContain("AAAA");

        keyring.StopDaemon();
        keyring.StartDaemon(unlocked: true);
        keychain.Read("account").ShouldBe(_secret);
    }

    [Fact]
    public void A_keyring_that_does_not_answer_is_given_up()
    {
        using var keyring = new PrivateKeyring();
        keyring.StartDaemon(unlocked: true);
        keyring.FreezeDaemon();
        using var keychain = new RemoteKeychain(keyring.Variables);
        Refusal(() => keychain.Read("account")).ShouldContain("5 s");
    }

    [Fact]
    public void A_bus_without_a_keyring_is_an_error_and_so_is_a_bus_that_has_gone()
    {
        using var keyring = new PrivateKeyring();
        using var keychain = new RemoteKeychain(keyring.Variables);
        Refusal(() => keychain.Read("account")).ShouldContain("org.freedesktop.secrets");
        keyring.StartDaemon(unlocked: true);
        keychain.Read("account").ShouldBeNull();
        keyring.StopBus();
        Refusal(() => keychain.Read("account"));
        Refusal(() => keychain.Write("account", _secret));
        keychain.Name.ShouldNotBeEmpty();
    }

    [Fact]
    public void Without_a_bus_there_is_no_keychain()
    {
        PrivateKeyring.Need();
        using var keychain = new RemoteKeychain(new Dictionary<string, string?>(StringComparer.Ordinal) { ["DBUS_SESSION_BUS_ADDRESS"] = null, ["XDG_RUNTIME_DIR"] = Path.GetTempPath() });
        keychain.Name.ShouldBeEmpty();
    }

    private static string Refusal(Action action) => Should.Throw<KeychainException>(action).Message;

    private void Write(PrivateKeyring keyring)
    {
        using var keychain = new RemoteKeychain(keyring.Variables);
        keychain.Write("account", _secret);
    }

    private void KeepsSecrets(IKeychain keychain)
    {
        var (account, other) = ($"test-{Guid.NewGuid()}", $"test-{Guid.NewGuid()}-ü");
        try
        {
            keychain.Read(account).ShouldBeNull();
            keychain.Write(account, _secret);
            keychain.Write(other, new byte[32]);
            keychain.Read(account).ShouldBe(_secret);
            keychain.Read(other).ShouldBe(new byte[32]);

            RandomNumberGenerator.Fill(_secret);
            keychain.Write(account, _secret);
            keychain.Read(account).ShouldBe(_secret);

            keychain.Delete(account);
            keychain.Read(account).ShouldBeNull();
            keychain.Delete(account);
            keychain.Read(other).ShouldBe(new byte[32]);
        }
        finally
        {
            keychain.Delete(account);
            keychain.Delete(other);
        }
    }
}
