using McpProxy.JsonRpc;

namespace McpProxy.Eras.ModernClient;

/// <summary>What a modern client gets of a legacy server's answer.</summary>
internal static class ModernResult
{
    private const int LegacyResourceNotFound = -32002;

    private static readonly byte[] s_complete = "\"complete\""u8.ToArray();
    private static readonly byte[] s_zero = "0"u8.ToArray();
    private static readonly byte[] s_private = "\"private\""u8.ToArray();

    /// <summary>Whether results of a method carry caching hints (MCP 2026-07-28, "Caching").</summary>
    public static bool IsCacheable(string method) =>
        method is "server/discover" or "tools/list" or "prompts/list" or "resources/list" or "resources/templates/list" or "resources/read";

    /// <summary>A response as the modern era has it.</summary>
    /// <param name="response">The server's response.</param>
    /// <param name="id">The client's id of the request.</param>
    /// <param name="method">The request's method.</param>
    /// <param name="serverInfo">JSON text of what the server calls itself; empty when it did not say.</param>
    public static JsonRpcMessage From(in JsonRpcMessage response, JsonRpcId id, string method, ReadOnlyMemory<byte> serverInfo)
    {
        if (response.IsError)
        {
            return Error(response, id, method);
        }

        if (response.Result.Span is not [(byte)'{', ..])
        {
            return JsonSplice.WithId(response, id);
        }

        var result = new ObjectEdit(response.Result);
        Complete(result, method, serverInfo);
        return MessageEdit.WithResult(response, result, id);
    }

    /// <summary>The answer to <c>server/discover</c>, made of a server's answer to <c>initialize</c>.</summary>
    public static JsonRpcMessage Discovered(in JsonRpcMessage initialized, JsonRpcId id)
    {
        var result = new ObjectEdit(initialized.Result);
        var serverInfo = result.Find("serverInfo");
        result.Remove("protocolVersion").Remove("serverInfo")
            .Set("supportedVersions", (byte[])[(byte)'[', .. ObjectEdit.Quoted(Revision.Modern), (byte)']']);
        if (result.Find("capabilities").IsEmpty)
        {
            result.Set("capabilities", "{}"u8.ToArray());
        }

        Complete(result, "server/discover", serverInfo);
        return MessageEdit.Result(id, result.ToUtf8().Span);
    }

    /// <summary>The answer that asks the client for input.</summary>
    /// <param name="id">The client's id of the request.</param>
    /// <param name="inputRequests">JSON text of the questions, by key.</param>
    /// <param name="requestState">What the client has to give back.</param>
    /// <param name="serverInfo">JSON text of what the server calls itself; empty when it did not say.</param>
    public static JsonRpcMessage InputRequired(JsonRpcId id, ReadOnlyMemory<byte> inputRequests, string requestState, ReadOnlyMemory<byte> serverInfo)
    {
        var result = new ObjectEdit(default)
            .Set("resultType", "\"input_required\""u8.ToArray())
            .Set("inputRequests", inputRequests)
            .Set("requestState", ObjectEdit.Quoted(requestState));
        Introduce(result, serverInfo);
        return MessageEdit.Result(id, result.ToUtf8().Span);
    }

    private static void Complete(ObjectEdit result, string method, ReadOnlyMemory<byte> serverInfo)
    {
        result.Set("resultType", s_complete);
        if (IsCacheable(method))
        {
            result.Set("ttlMs", s_zero).Set("cacheScope", s_private);
        }

        Introduce(result, serverInfo);
    }

    private static void Introduce(ObjectEdit result, ReadOnlyMemory<byte> serverInfo)
    {
        if (!serverInfo.IsEmpty)
        {
            result.Set("_meta", new ObjectEdit(result.Find("_meta")).Set(MetaKey.ServerInfo, serverInfo).ToUtf8());
        }
    }

    /// <summary>An error; the code of a resource that does not exist is another one (MCP 2026-07-28, "Key Changes").</summary>
    private static JsonRpcMessage Error(in JsonRpcMessage response, JsonRpcId id, string method)
    {
        if (method != "resources/read" || response.ErrorCode() != LegacyResourceNotFound)
        {
            return JsonSplice.WithId(response, id);
        }

        var code = JsonSplice.RangeOf(response.Utf8, JsonMembers.Find(response.Utf8, "error"u8, "code"u8));
        var text = JsonRpcId.FromNumber(JsonRpcErrorCode.InvalidParams).Utf8Text;
        return JsonSplice.WithId(JsonSplice.Reparse(JsonSplice.Apply(response.Utf8, (code, text))), id);
    }
}
