using McpProxy.JsonRpc;

namespace McpProxy.Eras.LegacyClient;

/// <summary>One thing that a modern server wants to know before it answers a call (MCP 2026-07-28, "InputRequests").</summary>
/// <param name="Key">The server's name for it, unescaped.</param>
/// <param name="Method">JSON text of the method.</param>
/// <param name="Params">JSON text of the parameters; empty for none.</param>
internal sealed record InputQuestion(string Key, ReadOnlyMemory<byte> Method, ReadOnlyMemory<byte> Params)
{
    /// <summary>The client's answer, JSON text; empty until it is there.</summary>
    public ReadOnlyMemory<byte> Answer { get; set; }

    /// <summary>The questions of a result that asks for input; null when they are no questions.</summary>
    public static List<InputQuestion>? AllOf(in JsonRpcMessage response)
    {
        List<InputQuestion> questions = [];
        foreach (var (key, value) in new ObjectEdit(JsonMembers.Find(response.Result, "inputRequests"u8)).Members)
        {
            var method = JsonMembers.Find(value, "method"u8);
            if (JsonMembers.AsString(method) is null or "")
            {
                return null;
            }

            questions.Add(new(key, method.ToArray(), JsonMembers.Find(value, "params"u8).ToArray()));
        }

        return questions;
    }

    /// <summary>The answers to questions, as the server takes them.</summary>
    public static ReadOnlyMemory<byte> Answers(IEnumerable<InputQuestion> questions)
    {
        var answers = new ObjectEdit(default);
        foreach (var question in questions)
        {
            answers.Set(question.Key, question.Answer);
        }

        return answers.ToUtf8();
    }

    /// <summary>The capability that a client needs for this and does not have; null when it can be asked.</summary>
    /// <param name="capabilities">JSON text of the client's capabilities.</param>
    public string? MissingCapability(ReadOnlyMemory<byte> capabilities) => ClientCapability.MissingFor(JsonMembers.AsString(Method), Params, capabilities);

    /// <summary>The question as a request to the client.</summary>
    public JsonRpcMessage ToRequest(JsonRpcId id)
    {
        var parameters = Params;
        if (IsByUrl && JsonMembers.Find(Params, "elicitationId"u8).IsEmpty)
        {
            // Which the revision that has this mode insists on (MCP 2025-11-25, "URL Mode Elicitation Requests").
            parameters = new ObjectEdit(Params).Set("elicitationId", ObjectEdit.Quoted(Guid.NewGuid().ToString())).ToUtf8();
        }

        return MessageEdit.Request(id, Method.Span, parameters.Span);
    }

    private bool IsByUrl => JsonMembers.AsString(JsonMembers.Find(Params, "mode"u8)) == "url";
}
