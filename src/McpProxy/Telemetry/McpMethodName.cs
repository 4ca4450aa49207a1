namespace McpProxy.Telemetry;

/// <summary>
/// The methods that measurements tell apart. Messages of every method are relayed; but a label whose values clients choose
/// would let them grow our memory, so that all others count as one.
/// </summary>
internal static class McpMethodName
{
    /// <summary>What every method counts as that the specification does not name.</summary>
    public const string Other = "other";

    private static readonly string[] s_names =
    [
        "tools/call", "tools/list", "initialize", "ping", "server/discover", "subscriptions/listen",
        "resources/read", "resources/list", "resources/templates/list", "resources/subscribe", "resources/unsubscribe",
        "prompts/get", "prompts/list", "completion/complete", "logging/setLevel",
        "tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update",
        "sampling/createMessage", "elicitation/create", "roots/list",
    ];

    private static readonly byte[][] s_utf8 = [.. s_names.Select(System.Text.Encoding.ASCII.GetBytes)];

    /// <summary>The name of a method, or <see cref="Other"/>. Never allocates.</summary>
    public static string Of(ReadOnlySpan<byte> method)
    {
        for (var i = 0; i < s_utf8.Length; i++)
        {
            if (method.SequenceEqual(s_utf8[i]))
            {
                return s_names[i];
            }
        }

        return Other;
    }
}
