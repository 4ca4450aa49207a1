using System.Net;
using McpProxy.JsonRpc;

namespace McpProxy.Transports.Http;

/// <summary>The upstream answered a message with an HTTP status that is no success.</summary>
/// <param name="Status">The status.</param>
/// <param name="Body">The body.</param>
/// <param name="Text">The same, for a person to read.</param>
internal sealed record HttpRefusal(HttpStatusCode Status, ReadOnlyMemory<byte> Body, string Text)
{
    /// <summary>Whether another transport may be what this URL speaks: a 4xx that is not about credentials, and no answer of a modern server.</summary>
    public bool SuggestsOtherTransport => (int)Status is >= 400 and < 500 and not (401 or 403) && !IsModernError;

    /// <summary>Whether the server is not there yet, but something in front of it is.</summary>
    public bool IsTemporary => Status is HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    /// <summary>
    /// Whether the server no longer knows the session. The specification says 404; some servers say 400 and why, in an error
    /// that answers no request in particular.
    /// </summary>
    public bool SaysSessionIsGone => Status == HttpStatusCode.NotFound
        || (Status == HttpStatusCode.BadRequest && Text.Contains("session", StringComparison.OrdinalIgnoreCase) && !AnswersARequest);

    private bool AnswersARequest => JsonRpcMessage.TryParse(Body, out var message, out _) && message.Id.Kind is not (JsonRpcIdKind.None or JsonRpcIdKind.Null);

    /// <summary>Whether the server says that headers do not match the body.</summary>
    public bool IsHeaderMismatch => ErrorCode == JsonRpcErrorCode.HeaderMismatch;

    private bool IsModernError => ErrorCode is { } code && (JsonRpcErrorCode.IsModern(code) || (Status == HttpStatusCode.NotFound && code == JsonRpcErrorCode.MethodNotFound));

    private int? ErrorCode => JsonRpcMessage.TryParse(Body, out var message, out _) ? message.ErrorCode() : null;

    /// <summary>The answer for the request that was refused: the server's own error where it sent one, else one that says what happened.</summary>
    public JsonRpcMessage AnswerFor(JsonRpcId id) =>
        !JsonRpcMessage.TryParse(Body, out var message, out _) || message.Kind != JsonRpcMessageKind.Response
            ? JsonRpcWriter.Error(id, JsonRpcErrorCode.UpstreamUnavailable, Text)
            : message.Id == id ? message : JsonSplice.WithId(message, id);
}
