using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>Something that a legacy server wants to know from the client before it answers a call.</summary>
/// <param name="Key">The name that the client knows it by.</param>
/// <param name="Id">The server's id of the question; none when the server has refused the call over it, and is called again instead of being answered.</param>
/// <param name="Request">JSON text of the question, as the client gets it.</param>
/// <param name="IsGuessed">Whether another call may be the one it is asked for: the server's transport does not say.</param>
internal sealed record ServerQuestion(string Key, JsonRpcId Id, ReadOnlyMemory<byte> Request, bool IsGuessed = false)
{
    /// <summary>The question that a server's request asks, without a key yet; null when it is none that a modern client can be asked.</summary>
    public static ServerQuestion? Of(in JsonRpcMessage request) =>
        request.Is("elicitation/create"u8) || request.Is("sampling/createMessage"u8) || request.Is("roots/list"u8)
            ? new("", request.Id.Detach(), TextOf(System.Text.Encoding.UTF8.GetString(request.Method), request.Params))
            : null;

    /// <summary>The question whether the user will go to a page (MCP 2025-11-25, "URL Elicitation Required Error").</summary>
    public static ServerQuestion OfUrl(ReadOnlyMemory<byte> elicitation, string key) => new(key, default, TextOf("elicitation/create", elicitation));

    private static ReadOnlyMemory<byte> TextOf(string method, ReadOnlyMemory<byte> parameters)
    {
        var question = new ObjectEdit(default).Set("method", ObjectEdit.Quoted(method));
        if (!parameters.IsEmpty)
        {
            // The id by which the legacy era says that a page is done with; the modern one finds out by asking again.
            question.Set("params", new ObjectEdit(parameters).Remove("elicitationId").ToUtf8());
        }

        return question.ToUtf8();
    }
}
