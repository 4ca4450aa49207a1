using McpProxy.Transports.Http.Plain;

namespace McpProxy.Transports.Http;

/// <summary>
/// Sends each request the cheapest way that there is: plain HTTP that no proxy is in the way of by <see cref="PlainHttpHandler"/>,
/// the rest by the general handler, which is not made before it is needed.
/// </summary>
internal sealed class UpstreamHandler(PlainHttpHandler plain, Func<SocketsHttpHandler> makeGeneral, SystemProxies proxies) : HttpMessageHandler
{
    private readonly HttpMessageInvoker _plain = new(plain);
    private readonly Lazy<HttpMessageInvoker> _general = new(() => new(makeGeneral()));

    /// <summary>Makes a request of which all is known but the body; null where it has to be made anew each time.</summary>
    /// <exception cref="HttpRequestException">A header has a character that cannot be sent.</exception>
    public PreparedRequest? Prepare(HttpRequestMessage request) => IsPlain(request.RequestUri!) ? plain.Prepare(request) : null;

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        (IsPlain(request.RequestUri!) ? _plain : _general.Value).SendAsync(request, cancellationToken);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _plain.Dispose();
            if (_general.IsValueCreated)
            {
                _general.Value.Dispose();
            }
        }

        base.Dispose(disposing);
    }

    private bool IsPlain(Uri uri) => ReferenceEquals(uri.Scheme, Uri.UriSchemeHttp) && proxies.GetProxy(uri) is null;
}
