using System.Text;
using McpProxy.JsonRpc;

namespace McpProxy.Transports;

/// <summary>
/// What a legacy client has told its server and a new session with that server must hear again: the initialisation, the
/// log level, the subscriptions.
/// </summary>
internal sealed class SessionReplay
{
    private const int MaxSubscriptions = 10_000;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, JsonRpcMessage> _subscriptions = new(StringComparer.Ordinal);
    private JsonRpcMessage? _initialize;
    private JsonRpcMessage? _initialized;
    private JsonRpcMessage? _setLevel;

    /// <summary>The client's <c>initialize</c>, once it was sent.</summary>
    public JsonRpcMessage? Initialize
    {
        get
        {
            lock (_gate)
            {
                return _initialize;
            }
        }
    }

    /// <summary>Remembers a message of the client, if it is one that counts.</summary>
    public void Observe(in JsonRpcMessage message)
    {
        if (message.Kind == JsonRpcMessageKind.Response)
        {
            return;
        }

        if (message.Is("initialize"u8))
        {
            Keep(ref _initialize, message);
        }
        else if (message.Is("notifications/initialized"u8))
        {
            Keep(ref _initialized, message);
        }
        else if (message.Is("logging/setLevel"u8))
        {
            Keep(ref _setLevel, message);
        }
        else if (message.Is("resources/subscribe"u8) || message.Is("resources/unsubscribe"u8))
        {
            var uri = Encoding.UTF8.GetString(JsonMembers.Find(message.Params, "uri"u8).Span);
            var detached = message.Detach();
            lock (_gate)
            {
                if (message.Is("resources/unsubscribe"u8))
                {
                    _subscriptions.Remove(uri);
                }
                else if (_subscriptions.Count < MaxSubscriptions)
                {
                    _subscriptions[uri] = detached;
                }
            }
        }
    }

    /// <summary>What to send after the answer to <see cref="Initialize"/>, in order.</summary>
    public List<JsonRpcMessage> Rest()
    {
        lock (_gate)
        {
            List<JsonRpcMessage> rest = [];
            if (_initialized is { } initialized)
            {
                rest.Add(initialized);
            }

            if (_setLevel is { } setLevel)
            {
                rest.Add(setLevel);
            }

            rest.AddRange(_subscriptions.Values);
            return rest;
        }
    }

    private void Keep(ref JsonRpcMessage? slot, in JsonRpcMessage message)
    {
        var detached = message.Detach();
        lock (_gate)
        {
            slot = detached;
        }
    }
}
