using McpProxy.JsonRpc;

namespace McpProxy.Transports.Http;

/// <summary>The client half of one HTTP transport, for one session.</summary>
internal interface IHttpClientHalf : IAsyncDisposable
{
    /// <summary>Sends a message and, where the transport answers on the same exchange, hands the answers on.</summary>
    /// <param name="message">The message; its bytes live as long as the exchange.</param>
    /// <param name="cancellationToken">Closes the exchange.</param>
    /// <returns>Null when the server accepted the message; otherwise its refusal, which the caller reports.</returns>
    /// <exception cref="UpstreamHttpException">The server could not be reached, or the exchange broke.</exception>
    ValueTask<HttpRefusal?> PostAsync(JsonRpcMessage message, CancellationToken cancellationToken);
}
