using McpProxy.JsonRpc;

namespace McpProxy.Transports;

/// <summary>One live peer over one transport: messages in, messages out.</summary>
/// <remarks>
/// Disposing closes the connection the orderly way that its transport knows, and waits for it: a child is asked to
/// leave and then made to, an HTTP session is deleted, a stream is ended.
/// </remarks>
public interface IConnection : IAsyncDisposable
{
    /// <summary>
    /// Whether this transport has a stream for each request, so that it knows which request a message from the peer belongs
    /// to. When it does not, "no related request" means "unknown", and the relay finds out by other means.
    /// </summary>
    bool HasRequestStreams { get; }

    /// <summary>
    /// Completes when the peer is known to read nothing more, even before something is sent to it; many transports never know.
    /// </summary>
    Task Gone => Never;

    /// <summary>Tells that nothing more will be sent: what waits for somebody on the sending side need not wait any longer.</summary>
    void EndOfInput()
    {
    }

    private static Task Never { get; } = new TaskCompletionSource().Task;

    /// <summary>Hands each message of the peer to the receiver until the peer is gone. Called once; it may be called a moment after the first message was sent.</summary>
    /// <param name="receiver">Who takes the messages. A transport with one stream awaits it before it reads on, so a slow receiver slows the peer.</param>
    /// <param name="cancellationToken">Stops reading; the connection can still be sent to.</param>
    /// <returns>Why the peer will send nothing more.</returns>
    Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken);

    /// <summary>Sends a message to the peer.</summary>
    /// <param name="message">The message; its bytes are not used after the task completes.</param>
    /// <param name="related">The peer's own request on whose stream the message travels, or none for the session's stream. A transport without such streams ignores it.</param>
    /// <param name="cancellationToken">Gives up waiting for a peer that does not read.</param>
    /// <returns>False when the peer is gone, or the stream that the message belongs to.</returns>
    ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken);

    /// <summary>
    /// Completes when everything that counts as sent was handed to the peer's side, or the peer is gone: a transport may take short messages in good faith, and write
    /// what came together at once. One that does not has nothing to wait for.
    /// </summary>
    /// <param name="cancellationToken">Gives up waiting for a peer that does not read.</param>
    ValueTask FlushAsync(CancellationToken cancellationToken) => ValueTask.CompletedTask;
}
