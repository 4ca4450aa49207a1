using McpProxy.JsonRpc;

namespace McpProxy.Eras;

/// <summary>How a server has reacted to <c>server/discover</c>.</summary>
/// <param name="Verdict">What that says.</param>
/// <param name="Answer">What it answered; without meaning where it did not.</param>
internal sealed record ProbeOutcome(ProbeVerdict Verdict, JsonRpcMessage Answer = default)
{
    /// <summary>What an answer to <c>server/discover</c> says (MCP 2026-07-28, stdio, "Backward Compatibility").</summary>
    public static ProbeVerdict Of(in JsonRpcMessage answer) => answer.ErrorCode() switch
    {
        null when answer.IsError => ProbeVerdict.Legacy,
        null => JsonMembers.Find(answer.Result, "supportedVersions"u8).Span is [(byte)'[', ..] ? ProbeVerdict.Modern : ProbeVerdict.Legacy,
        JsonRpcErrorCode.SignInNeeded => ProbeVerdict.Unknown,
        { } code => JsonRpcErrorCode.IsModern(code) ? ProbeVerdict.Modern : ProbeVerdict.Legacy,
    };
}
