using System.Collections.Concurrent;
using McpProxy.Telemetry;

namespace McpProxy.Eras.ModernClient;

/// <summary>The calls whose clients look for answers to questions, wherever their sessions are.</summary>
/// <param name="limit">How many there may be.</param>
internal sealed class WaitingCalls(int limit) : IDisposable
{
    private readonly ConcurrentDictionary<Guid, (LegacySession Session, CallToServer Call)> _calls = new();
    private readonly Lazy<RequestStateSeal> _seal = new();

    /// <summary>How many there are.</summary>
    public int Count => _calls.Count;

    /// <summary>Whether there may be another one.</summary>
    public bool HasRoom => _calls.Count < limit;

    /// <summary>Seals the states. Made when the first call needs it: the libraries behind it take memory.</summary>
    public RequestStateSeal Seal => _seal.Value;

    /// <summary>Keeps a call.</summary>
    public void Add(LegacySession session, CallToServer call)
    {
        _calls[call.Key] = (session, call);
        ProxyMeter.Parked(BridgeDirection.ModernToLegacy);
    }

    /// <summary>The call of a key, if it is still waiting.</summary>
    public (LegacySession Session, CallToServer Call)? Find(Guid key) => _calls.TryGetValue(key, out var found) ? found : null;

    /// <summary>Forgets a call, if it was waiting.</summary>
    /// <param name="call">The call.</param>
    /// <param name="outcome">What has become of the wait.</param>
    public void Remove(CallToServer call, ParkedOutcome outcome)
    {
        if (_calls.TryRemove(call.Key, out _))
        {
            ProxyMeter.Unparked(BridgeDirection.ModernToLegacy, outcome);
        }
    }

    /// <summary>A call cannot wait: there is no room.</summary>
    public static void Refused() => ProxyMeter.NotParked(BridgeDirection.ModernToLegacy);

    public void Dispose()
    {
        foreach (var (_, call) in _calls.Values)
        {
            Remove(call, ParkedOutcome.Cancelled);
        }

        if (_seal.IsValueCreated)
        {
            _seal.Value.Dispose();
        }
    }
}
