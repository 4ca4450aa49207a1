using McpProxy.JsonRpc;
using McpProxy.Telemetry;

namespace McpProxy.Eras.LegacyClient;

/// <summary>A legacy client's request that a modern server works on, in as many rounds as the server needs.</summary>
/// <param name="request">The client's request, with bytes of its own.</param>
/// <param name="logLevel">The level that the client had set when it asked.</param>
internal sealed class CallOfClient(JsonRpcMessage request, ReadOnlyMemory<byte> logLevel)
{
    public JsonRpcMessage Request { get; } = request;

    /// <summary>The trace and the log scope that the client's request came with: they are those of each time it is made again, too.</summary>
    public ExecutionContext? Origin { get; } = ExecutionContext.Capture();

    public ReadOnlyMemory<byte> LogLevel { get; } = logLevel;

    /// <summary>What the server knows the request by now.</summary>
    public JsonRpcId UpstreamId { get; set; } = request.Id;

    /// <summary>How many times the server has asked for input.</summary>
    public int Rounds { get; set; }

    /// <summary>What the client is being asked, by the ids of the questions.</summary>
    public Dictionary<JsonRpcId, InputQuestion> Questions { get; } = [];

    /// <summary>Whether the client is being asked now.</summary>
    public bool IsParked { get; private set; }

    /// <summary>What the server wants back as it is; empty for nothing.</summary>
    public ReadOnlyMemory<byte> RequestState { get; set; }

    /// <summary>Whether the client has its answer, or wants none any more.</summary>
    public bool IsOver { get; set; }

    /// <summary>The client begins to be asked.</summary>
    public void Park()
    {
        IsParked = true;
        ProxyMeter.Parked(BridgeDirection.LegacyToModern);
    }

    /// <summary>The client is asked no longer, if it was.</summary>
    public void Unpark(ParkedOutcome outcome)
    {
        if (IsParked)
        {
            IsParked = false;
            ProxyMeter.Unparked(BridgeDirection.LegacyToModern, outcome);
        }
    }
}
