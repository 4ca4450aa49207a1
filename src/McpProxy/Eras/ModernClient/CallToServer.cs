using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>
/// A request that a legacy server works on. A modern client may have to make it several times before it gets the result,
/// giving the server's questions their answers in between; to the server it is one. All of it under the lock of the session.
/// </summary>
/// <param name="upstreamId">What the server knows it by.</param>
/// <param name="order">Later ones have greater numbers.</param>
/// <param name="first">The client's request that began it.</param>
internal sealed class CallToServer(JsonRpcId upstreamId, long order, ClientRequest first)
{
    public Guid Key { get; } = Guid.NewGuid();

    public JsonRpcId UpstreamId { get; } = upstreamId;

    public long Order { get; } = order;

    public string Method { get; } = first.Method;

    /// <summary>The parameters, as the client gave them first.</summary>
    public JsonRpcMessage Request { get; } = first.Message;

    /// <summary>Whether it runs code of the server's author, which may have questions.</summary>
    public bool MayAsk { get; } = first.Method is "tools/call" or "prompts/get" or "resources/read";

    /// <summary>The client's request that waits for it; null while the client looks for answers.</summary>
    public ClientRequest? Waiting { get; set; } = first;

    /// <summary>What the client has not answered yet.</summary>
    public List<ServerQuestion> Questions { get; } = [];

    /// <summary>How many questions there have been.</summary>
    public int QuestionCount { get; set; }

    /// <summary>Which round of questions it is in: an answer to an earlier one is not taken.</summary>
    public int Round { get; set; }

    /// <summary>Whether questions are being gathered, to be asked together.</summary>
    public bool IsGathering { get; set; }

    /// <summary>The server's answer that came while nobody waited for it.</summary>
    public JsonRpcMessage? Outcome { get; set; }

    /// <summary>Whether the server ended while the client looked for answers.</summary>
    public bool IsAbandoned { get; set; }

    /// <summary>Ends the wait for a client that does not come back.</summary>
    public ITimer? Expiry { get; set; }

    /// <summary>Whether it was given up.</summary>
    public bool IsOver { get; set; }
}
