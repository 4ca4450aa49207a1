using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Transports;

namespace McpProxy.Relay.Restarting;

/// <summary>One life of a server that is started again when it has died.</summary>
internal sealed class Incarnation(IConnection connection)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<JsonRpcId, TaskCompletionSource<JsonRpcMessage?>> _asked = [];
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

    /// <summary>Takes the answer to a request of the proxy's own.</summary>
    /// <returns>False when it answers somebody else's.</returns>
    public bool TryTakeAnswer(in JsonRpcMessage response)
    {
        TaskCompletionSource<JsonRpcMessage?>? answer;
        lock (_gate)
        {
            if (_asked.Count == 0 || !_asked.Remove(response.Id, out answer))
            {
                return false;
            }
        }

        answer.TrySetResult(response.Detach());
        return true;
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
