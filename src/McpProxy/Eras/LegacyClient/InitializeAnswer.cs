using McpProxy.JsonRpc;

namespace McpProxy.Eras.LegacyClient;

/// <summary>The answer to a legacy client's <c>initialize</c>, made of what a modern server says about itself.</summary>
internal static class InitializeAnswer
{
    /// <summary>The answer.</summary>
    /// <param name="initialize">The client's request.</param>
    /// <param name="discovered">The server's answer to <c>server/discover</c>.</param>
    /// <param name="serverName">What to call a server that does not introduce itself.</param>
    public static JsonRpcMessage From(in JsonRpcMessage initialize, in JsonRpcMessage discovered, string serverName)
    {
        var result = new ObjectEdit(discovered.Result);
        var meta = new ObjectEdit(result.Find("_meta"));
        var serverInfo = meta.Find(MetaKey.ServerInfo);
        if (serverInfo.Span is not [(byte)'{', ..])
        {
            serverInfo = (byte[])[.. "{\"name\":"u8, .. ObjectEdit.Quoted(serverName), .. ",\"version\":\"0\"}"u8];
        }

        result.Remove("resultType").Remove("supportedVersions").Remove("ttlMs").Remove("cacheScope").Remove("_meta")
            .Set("protocolVersion", ObjectEdit.Quoted(VersionFor(initialize)))
            .Set("capabilities", new ObjectEdit(result.Find("capabilities")).Remove("extensions").ToUtf8())
            .Set("serverInfo", serverInfo);
        meta.Remove(MetaKey.ServerInfo);
        if (!meta.IsEmpty)
        {
            result.Set("_meta", meta.ToUtf8());
        }

        return MessageEdit.Result(initialize.Id, result.ToUtf8().Span);
    }

    /// <summary>The revision that the client is told: its own when that is a known one, else the newest of the era (MCP 2025-11-25, "Version Negotiation").</summary>
    public static string VersionFor(in JsonRpcMessage initialize)
    {
        var wanted = JsonMembers.AsString(JsonMembers.Find(initialize.Params, "protocolVersion"u8));
        return Revision.IsLegacy(wanted) ? wanted! : Revision.NewestLegacy;
    }
}
