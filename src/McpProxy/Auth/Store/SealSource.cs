using System.Security.Cryptography;
using McpProxy.Auth.Keychain;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.Store;

/// <summary>Gets the key that files are sealed with from the keychain, the first time that it is needed.</summary>
internal sealed partial class SealSource(Func<IKeychain?> findKeychain, bool isRequired, ILogger logger)
{
    private const string Account = "token-store";

    private readonly Lock _gate = new();

    // Looking for it loads libraries, which a start without stored sign-ins has no use for.
    private readonly Lazy<IKeychain?> _keychain = new(findKeychain);
    private FileSeal? _seal;
    private bool _isMissing;
    private KeychainException? _unreadable;

    /// <summary>What to seal with; null to write files as they are.</summary>
    /// <param name="onlyOne">Runs an action while no other process runs it: two must not make a key each.</param>
    /// <param name="isProvisional">Whether nobody is there to open a keychain: what is not open then is not used, unless it is required.</param>
    /// <exception cref="IOException">Sealing is required, and the keychain does not answer.</exception>
    public FileSeal? ForWriting(Action<Action> onlyOne, bool isProvisional)
    {
        lock (_gate)
        {
            if (_seal is not null || ((_isMissing || isProvisional) && !isRequired))
            {
                return _seal;
            }

            try
            {
                if (_keychain.Value is not { } keychain)
                {
                    throw new KeychainException("this machine has no keychain that answers");
                }

                onlyOne(() =>
                {
                    var key = keychain.Read(Account);
                    if (key is not { Length: FileSeal.KeySize })
                    {
                        key = RandomNumberGenerator.GetBytes(FileSeal.KeySize);
                        keychain.Write(Account, key);
                    }

                    _seal = new(key);
                    _unreadable = null;
                });
            }
            catch (KeychainException e) when (!isRequired)
            {
                LogNoKeychain(e.Message);
                _isMissing = true;
            }

            return _seal;
        }
    }

    /// <summary>What to open sealed files with. A keychain that did not answer is not asked again: each question can take seconds.</summary>
    /// <exception cref="IOException">The keychain has no key, or does not answer.</exception>
    public FileSeal ForReading()
    {
        lock (_gate)
        {
            if (_unreadable is not null)
            {
                throw _unreadable;
            }

            try
            {
                return _seal ??= _keychain.Value?.Read(Account) is { Length: FileSeal.KeySize } key ? new(key)
                    : throw new KeychainException("it is sealed by a key in the keychain, which is not there");
            }
            catch (KeychainException e)
            {
                _unreadable = e;
                throw;
            }
        }
    }

    /// <summary>Forgets the key: what it sealed can never be read again.</summary>
    public void Forget()
    {
        lock (_gate)
        {
            _seal = null;
            try
            {
                _keychain.Value?.Delete(Account);
            }
            catch (KeychainException e)
            {
                LogNoKeychain(e.Message);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "The keychain is not used: {Reason}")]
    private partial void LogNoKeychain(string reason);
}
