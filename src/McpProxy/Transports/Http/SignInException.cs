using System.Text.Json;
using McpProxy.JsonRpc;

namespace McpProxy.Transports.Http;

/// <summary>The upstream wants the user to sign in. The connection is as good as before.</summary>
/// <param name="message">What to do, or why it cannot be done.</param>
/// <param name="url">Where to sign in; null when that is not possible now.</param>
internal sealed class SignInException(string message, Uri? url) : UpstreamHttpException(message, requestWasSent: true)
{
    /// <summary>Where to sign in; null when that is not possible now.</summary>
    public Uri? Url { get; } = url;

    /// <summary>The error for a request that cannot go on without the sign-in; <c>data.url</c> says where that is done.</summary>
    public JsonRpcMessage AnswerFor(JsonRpcId id) => JsonRpcWriter.Error(
        id, JsonRpcErrorCode.SignInNeeded, Message, Url is null ? default : System.Text.Encoding.UTF8.GetBytes($"{{\"url\":\"{JsonEncodedText.Encode(Url.AbsoluteUri)}\"}}"));
}
