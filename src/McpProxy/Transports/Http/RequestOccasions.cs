using McpProxy.JsonRpc;

namespace McpProxy.Transports.Http;

/// <summary>Why a client sends a message, as far as its method tells.</summary>
internal static class RequestOccasions
{
    public static RequestOccasion Of(in JsonRpcMessage message) =>
        // A cancellation that waited would come after what it cancels; and nobody wants a page because a client looks whether the server is there.
        !message.CancelledRequest().IsNone || message.Is("ping"u8) ? RequestOccasion.Background
        : message.Kind != JsonRpcMessageKind.Request ? RequestOccasion.Routine
        : message.Is("initialize"u8) ? RequestOccasion.Introduction
        : message.Is("tools/call"u8) || message.Is("prompts/get"u8) || message.Is("resources/read"u8) || message.Is("completion/complete"u8) ? RequestOccasion.UserAction
        : RequestOccasion.Routine;
}
