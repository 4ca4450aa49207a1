using McpProxy.JsonRpc;

namespace McpProxy.Eras.LegacyClient;

/// <summary>What a legacy client gets of a modern server's result.</summary>
internal static class LegacyResult
{
    /// <summary>Whether the server asks for input before it answers.</summary>
    public static bool IsInputRequired(in JsonRpcMessage response) =>
        response.Result.Span.IndexOf("input_required"u8) >= 0 && JsonMembers.AsString(JsonMembers.Find(response.Result, "resultType"u8)) == "input_required";

    /// <summary>A response without the members that only the modern era has.</summary>
    /// <param name="response">The response.</param>
    /// <param name="id">The client's id of the request.</param>
    public static JsonRpcMessage From(in JsonRpcMessage response, JsonRpcId id)
    {
        if (response.IsError || response.Result.Span is not [(byte)'{', ..])
        {
            return response.Id == id ? response : JsonSplice.WithId(response, id);
        }

        var result = new ObjectEdit(response.Result).Remove("resultType").Remove("ttlMs").Remove("cacheScope");
        WithoutMeta(result, MetaKey.ServerInfo);
        return MessageEdit.WithResult(response, result, id);
    }

    /// <summary>A notification without the id of the subscription that it came on.</summary>
    public static JsonRpcMessage FromSubscription(in JsonRpcMessage notification)
    {
        var parameters = new ObjectEdit(notification.Params);
        WithoutMeta(parameters, MetaKey.SubscriptionId);
        if (!parameters.IsEmpty)
        {
            return MessageEdit.WithParams(notification, parameters);
        }

        // Notifications without parameters have none in the legacy era either.
        return MessageEdit.Notification(ObjectEdit.Quoted(System.Text.Encoding.UTF8.GetString(notification.Method)), default);
    }

    /// <summary>Takes a member out of <c>_meta</c>, and <c>_meta</c> itself when that was all of it.</summary>
    private static void WithoutMeta(ObjectEdit holder, string name)
    {
        var text = holder.Find("_meta");
        if (text.Span is not [(byte)'{', ..])
        {
            return;
        }

        var meta = new ObjectEdit(text);
        if (meta.Find(name).IsEmpty)
        {
            return;
        }

        meta.Remove(name);
        _ = meta.IsEmpty ? holder.Remove("_meta") : holder.Set("_meta", meta.ToUtf8());
    }
}
