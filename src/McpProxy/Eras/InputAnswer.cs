using McpProxy.JsonRpc;

namespace McpProxy.Eras;

/// <summary>What a client answers to a server's question.</summary>
internal static class InputAnswer
{
    /// <summary>Whether the user would not: only answers to elicitation say so (MCP "Elicitation", "Response Actions").</summary>
    /// <param name="answer">JSON text of the answer.</param>
    public static bool IsRefusal(ReadOnlyMemory<byte> answer) => JsonMembers.AsString(JsonMembers.Find(answer, "action"u8)) is "decline" or "cancel";
}
