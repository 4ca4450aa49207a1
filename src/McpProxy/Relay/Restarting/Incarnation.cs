using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Relay.Restarting;

/// <summary>One life of a server that is started again when it has died.</summary>
internal sealed class Incarnation(IConnection connection)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, TaskCompletionSource<JsonRpcMessage?>> _asked = [];
    private readonly HashSet<JsonRpcId> _requests = [];
    private readonly HashSet<JsonRpcId> _questions = [];
    private volatile string? _endDetail;
    private int _lastId;

    public IConnection Connection => connection;

    /// <summary>Whether this life is over.</summary>
    public bool IsDead => _endDetail is not null;

    /// <summary>Why it is over.</summary>
    public string EndDetail => _endDetail ?? "the server does not answer";

    /// <summary>Sends a request on the proxy's own account, under an id that no client uses; null when the server died over it.</summary>
    public async Task<JsonRpcMessage?> AskAsync(JsonRpcMessage request)
    {
        var answer = new TaskCompletionSource<JsonRpcMessage?>(TaskCreationOptions.RunContinuationsAsynchronously);
        JsonRpcId id;
        lock (_gate)
        {
            if (IsDead)
            {
                return null;
            }

            id = JsonRpcId.FromJson(Encoding.UTF8.GetBytes($"\"mcp-proxy/restart/{++_lastId}\""));
            _asked.Add(id, answer);
        }

        return await connection.SendAsync(JsonSplice.WithId(request, id), default, CancellationToken.None) ? await answer.Task : null;
    }

    /// <summary>Notes what the client says to this server.</summary>
    public void Told(in JsonRpcMessage message)
    {
        var cancelled = message.CancelledRequest();
        lock (_gate)
        {
            _ = message.Kind switch
            {
                JsonRpcMessageKind.Request => _requests.Add(message.Id.Detach()),
                JsonRpcMessageKind.Response => _questions.Remove(message.Id),
                _ => !cancelled.IsNone && _requests.Remove(cancelled),
            };
        }
    }

    /// <summary>Notes what the server says.</summary>
    /// <returns>False when it is the answer to a request of the proxy's own, which concerns nobody else.</returns>
    public bool Says(in JsonRpcMessage message)
    {
        TaskCompletionSource<JsonRpcMessage?>? answer = null;
        var cancelled = message.CancelledRequest();
        lock (_gate)
        {
            _ = message.Kind switch
            {
                JsonRpcMessageKind.Request => _questions.Add(message.Id.Detach()),
                JsonRpcMessageKind.Response => _asked.Remove(message.Id, out answer) || _requests.Remove(message.Id),
                _ => !cancelled.IsNone && _questions.Remove(cancelled),
            };
        }

        answer?.TrySetResult(message.Detach());
        return answer is null;
    }

    /// <summary>Notes that the server has said something about a request of the client that is no message.</summary>
    public void Garbled(JsonRpcId request)
    {
        lock (_gate)
        {
            _requests.Remove(request);
        }
    }

    /// <summary>What this life leaves unanswered: the client's requests, and its own questions.</summary>
    public (List<JsonRpcId> Requests, List<JsonRpcId> Questions) Unfinished()
    {
        lock (_gate)
        {
            return ([.. _requests], [.. _questions]);
        }
    }

    /// <summary>This life is over: who waits for an answer waits no longer.</summary>
    public void Die(string detail)
    {
        lock (_gate)
        {
            _endDetail = detail;
            foreach (var answer in _asked.Values)
            {
                answer.TrySetResult(null);
            }

            _asked.Clear();
        }
    }
}
