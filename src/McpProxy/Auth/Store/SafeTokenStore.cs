using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.Store;

/// <summary>A store that goes on in memory when its files cannot be written: neither the sign-in at hand nor what can be read must be lost for that.</summary>
internal sealed partial class SafeTokenStore(ITokenStore files, ILogger logger) : ITokenStore
{
    private readonly MemoryTokenStore _memory = new();
    private volatile bool _isBroken;

    public StoredSignIn Read(StoreKey key) => (_isBroken ? _memory.Find(key) : null) ?? files.Read(key);

    public StoredFlow? ReadFlow(StoreKey key) => _isBroken ? _memory.ReadFlow(key) : files.ReadFlow(key);

    public void Write(StoreKey key, StoredSignIn signIn) => Try(store => store.Write(key, signIn));

    public void WriteFlow(StoreKey key, StoredFlow? flow) => Try(store => store.WriteFlow(key, flow));

    public IDisposable? TryLock(StoreKey key, StoreLock kind)
    {
        IDisposable? held = null;
        Try(store => held = store.TryLock(key, kind));
        return held;
    }

    private void Try(Action<ITokenStore> act)
    {
        if (!_isBroken)
        {
            try
            {
                act(files);
                return;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                LogBroken(e.Message);
                _isBroken = true;
            }
        }

        act(_memory);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Sign-ins cannot be stored and end with this process: {Reason}")]
    private partial void LogBroken(string reason);
}
