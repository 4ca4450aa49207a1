using McpProxy.Transports.Http.Plain;

namespace McpProxy.Transports.Http;

/// <summary>Sends requests to servers, with a shorter way for those that differ in nothing but their bodies.</summary>
internal sealed class UpstreamInvoker(UpstreamHandler handler) : HttpMessageInvoker(handler)
{
    /// <inheritdoc cref="UpstreamHandler.Prepare"/>
    public PreparedRequest? Prepare(HttpRequestMessage request) => handler.Prepare(request);
}
