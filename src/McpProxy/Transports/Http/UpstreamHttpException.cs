namespace McpProxy.Transports.Http;

/// <summary>An HTTP exchange with the upstream failed; the message is fit for the client to read.</summary>
internal class UpstreamHttpException(string message, bool requestWasSent) : IOException(message)
{
    /// <summary>False when the upstream cannot have seen the request, so that sending it again repeats nothing.</summary>
    public bool RequestWasSent { get; } = requestWasSent;
}
