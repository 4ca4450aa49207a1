using McpProxy.JsonRpc;

namespace McpProxy.Eras;

/// <summary>What a client has to have declared before a server may ask it something.</summary>
internal static class ClientCapability
{
    /// <summary>The capability that a client needs for a question and does not have; null when it can be asked.</summary>
    /// <param name="method">The question's method.</param>
    /// <param name="parameters">JSON text of the question's parameters; empty for none.</param>
    /// <param name="capabilities">JSON text of the client's capabilities.</param>
    public static string? MissingFor(string? method, ReadOnlyMemory<byte> parameters, ReadOnlyMemory<byte> capabilities)
    {
        switch (method)
        {
            case "elicitation/create":
                var elicitation = JsonMembers.Find(capabilities, "elicitation"u8);
                var isByUrl = JsonMembers.AsString(JsonMembers.Find(parameters, "mode"u8)) == "url";
                return elicitation.IsEmpty ? "elicitation"
                    : isByUrl ? JsonMembers.Find(elicitation, "url"u8).IsEmpty ? "elicitation.url" : null

                    // One that names no mode has forms, as there was nothing else once.
                    : JsonMembers.Find(elicitation, "form"u8).IsEmpty && !JsonMembers.Find(elicitation, "url"u8).IsEmpty ? "elicitation.form" : null;
            case "sampling/createMessage":
                return JsonMembers.Find(capabilities, "sampling"u8).IsEmpty ? "sampling" : null;
            case "roots/list":
                return JsonMembers.Find(capabilities, "roots"u8).IsEmpty ? "roots" : null;
            default:
                return method;
        }
    }
}
