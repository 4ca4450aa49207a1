using Microsoft.Extensions.Logging;

namespace McpProxy.Auth.Store;

/// <summary>A store that goes on in memory where its files cannot be written: neither the sign-in at hand nor what can be read must be lost for that.</summary>
internal sealed partial class SafeTokenStore(ITokenStore files, ILogger logger) : ITokenStore
{
    private readonly MemoryTokenStore _memory = new();
    private int _hasWarned;

    public StoredSignIn Read(StoreKey key) => _memory.Find(key) ?? files.Read(key);

    public StoredFlow? ReadFlow(StoreKey key) => _memory.ReadFlow(key) ?? files.ReadFlow(key);

    public void Write(StoreKey key, StoredSignIn signIn, bool isProvisional = false)
    {
        if (Try(() => files.Write(key, signIn, isProvisional)))
        {
            _memory.Forget(key);
        }
        else
        {
            _memory.Write(key, signIn);
        }
    }

    public void WriteFlow(StoreKey key, StoredFlow? flow) => _memory.WriteFlow(key, Try(() => files.WriteFlow(key, flow)) ? null : flow);

    public IDisposable? TryLock(StoreKey key, StoreLock kind)
    {
        IDisposable? held = null;
        return Try(() => held = files.TryLock(key, kind)) ? held : _memory.TryLock(key, kind);
    }

    private bool Try(Action act)
    {
        try
        {
            act();
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (Interlocked.Exchange(ref _hasWarned, 1) == 0)
            {
                LogBroken(e.Message);
            }

            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Sign-ins cannot be stored and end with this process: {Reason}")]
    private partial void LogBroken(string reason);
}
