using McpProxy.JsonRpc;

namespace McpProxy.Eras;

/// <summary>How a server has reacted to <c>server/discover</c>.</summary>
/// <param name="Verdict">What that says.</param>
/// <param name="Answer">What it answered; without meaning where it did not.</param>
internal sealed record ProbeOutcome(ProbeVerdict Verdict, JsonRpcMessage Answer = default)
{
    /// <summary>What an answer to <c>server/discover</c> says (MCP 2026-07-28, stdio, "Backward Compatibility").</summary>
    public static ProbeVerdict Of(in JsonRpcMessage answer)
    {
        if (answer.ErrorCode() == JsonRpcErrorCode.SignInNeeded)
        {
            return ProbeVerdict.Unknown;
        }

        return IsModernError(answer) || VersionsOf(answer).Exists(Revision.IsModern) ? ProbeVerdict.Modern : ProbeVerdict.Legacy;
    }

    /// <summary>
    /// Whether an error is one that only a server of the modern era sends. One that knows the error for a version that it
    /// does not speak, and names none of the era, speaks the legacy one all the same.
    /// </summary>
    public static bool IsModernError(in JsonRpcMessage answer) => answer.ErrorCode() is { } code && JsonRpcErrorCode.IsModern(code)
        && (code != JsonRpcErrorCode.UnsupportedProtocolVersion || VersionsOf(answer) is var versions && (versions.Count == 0 || versions.Exists(Revision.IsModern)));

    /// <summary>The versions that an answer, or the error for a version that is not supported, names.</summary>
    public static List<string?> VersionsOf(in JsonRpcMessage answer)
    {
        var versions = answer.IsError ? JsonMembers.Find(JsonMembers.Find(answer.Utf8, "error"u8, "data"u8), "supported"u8) : JsonMembers.Find(answer.Result, "supportedVersions"u8);
        return versions.Span is [(byte)'[', ..] && JsonRpcMessage.TrySplitBatch(versions, out var items, out _) ? [.. items.Select(JsonMembers.AsString)] : [];
    }
}
