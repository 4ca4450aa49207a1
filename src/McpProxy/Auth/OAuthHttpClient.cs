using System.Net.Http.Headers;
using System.Text;
using McpProxy.Transports.Http;

namespace McpProxy.Auth;

/// <summary>
/// Sends the requests of the OAuth client: bounded in time and size, over https unless everything stays on this machine,
/// and never redirected to another origin.
/// </summary>
internal sealed class OAuthHttpClient(HttpMessageInvoker http, Uri server, bool allowHttp, TimeProvider time)
{
    private const int MaxBody = 512 * 1024;
    private const int MaxRedirects = 3;
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    public TimeProvider Time => time;

    /// <summary>Fetches a JSON document.</summary>
    /// <exception cref="OAuthException">There is no answer, or the URL is not safe to ask.</exception>
    public async Task<OAuthResponse> GetAsync(Uri uri, CancellationToken cancellationToken)
    {
        for (var redirects = 0; ; redirects++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, Checked(uri));
            var (response, location) = await SendAsync(request, cancellationToken);
            if (location is null)
            {
                return response;
            }

            if (!Uri.TryCreate(uri, location, out var target) || !UpstreamHttpClient.IsSameOrigin(uri, target) || redirects == MaxRedirects)
            {
                throw new OAuthException(OAuthFailure.Unusable, $"{UpstreamHttpClient.Describe(uri)} redirects a request for metadata to another origin, or too often, which is not followed");
            }

            uri = target;
        }
    }

    /// <summary>Posts a form.</summary>
    /// <exception cref="OAuthException">There is no answer, or the URL is not safe to ask.</exception>
    public Task<OAuthResponse> PostFormAsync(Uri uri, IEnumerable<KeyValuePair<string, string>> form, Action<HttpRequestHeaders>? setHeaders, CancellationToken cancellationToken) =>
        PostAsync(uri, new FormUrlEncodedContent(form), setHeaders, cancellationToken);

    /// <summary>Posts a JSON document.</summary>
    /// <exception cref="OAuthException">There is no answer, or the URL is not safe to ask.</exception>
    public Task<OAuthResponse> PostJsonAsync(Uri uri, string json, CancellationToken cancellationToken) =>
        PostAsync(uri, new StringContent(json, Encoding.UTF8, "application/json"), null, cancellationToken);

    /// <summary>A URL that secrets may be sent to and the browser may be led to.</summary>
    /// <exception cref="OAuthException">It is neither https nor on this machine.</exception>
    public Uri Checked(Uri uri)
    {
        // A remote server must not make the proxy talk to what runs on this machine.
        if (uri.IsLoopback && !server.IsLoopback && !allowHttp)
        {
            throw new OAuthException(OAuthFailure.Unusable, $"{UpstreamHttpClient.Describe(server)} is not on this machine, and refers to {UpstreamHttpClient.Describe(uri)}, which is (--allow-http accepts that)");
        }

        if (uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && (allowHttp || uri.IsLoopback)))
        {
            return uri;
        }

        throw new OAuthException(
            OAuthFailure.Unusable,
            uri.Scheme == Uri.UriSchemeHttp
                ? $"{UpstreamHttpClient.Describe(uri)} is plain http, where sign-ins could be read on the way (--allow-http accepts that)"
                : $"a URL of the scheme \"{uri.Scheme}\" is not used for sign-ins");
    }

    private async Task<OAuthResponse> PostAsync(Uri uri, HttpContent content, Action<HttpRequestHeaders>? setHeaders, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, Checked(uri)) { Content = content };
        setHeaders?.Invoke(request.Headers);
        var (response, location) = await SendAsync(request, cancellationToken);
        return location is null ? response : throw new OAuthException(OAuthFailure.Unusable, $"{UpstreamHttpClient.Describe(uri)} redirects a request that carries credentials, which is not followed");
    }

    private async Task<(OAuthResponse Response, Uri? Location)> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var where = UpstreamHttpClient.Describe(request.RequestUri!);
        request.Headers.TryAddWithoutValidation("Accept", "application/json");
        request.Headers.TryAddWithoutValidation("User-Agent", UpstreamHttpClient.UserAgent);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await using var timer = time.CreateTimer(static state => ((CancellationTokenSource)state!).Cancel(), timeout, s_timeout, Timeout.InfiniteTimeSpan);
        try
        {
            using var response = await http.SendAsync(request, timeout.Token);
            if ((int)response.StatusCode is >= 300 and < 400 && response.Headers.Location is { } location)
            {
                return (new(response.StatusCode, null, null), location);
            }

            await using var stream = await response.Content.ReadAsStreamAsync(timeout.Token);
            using var body = new MemoryStream();
            var chunk = new byte[8192];
            while (await stream.ReadAsync(chunk, timeout.Token) is > 0 and var read)
            {
                await body.WriteAsync(chunk.AsMemory(0, read), timeout.Token);
                if (body.Length > MaxBody)
                {
                    throw new OAuthException(OAuthFailure.Unusable, $"the answer of {where} is longer than {MaxBody / 1024} KB");
                }
            }

            var nonce = response.Headers.TryGetValues("DPoP-Nonce", out var nonces) ? nonces.FirstOrDefault() : null;
            return (new(response.StatusCode, OAuthDocument.TryParse(body.GetBuffer().AsMemory(0, (int)body.Length)), nonce), null);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new OAuthException(OAuthFailure.Temporary, $"{where} did not answer within {s_timeout.TotalSeconds} s");
        }
        catch (Exception e) when (e is HttpRequestException or IOException and not OAuthException)
        {
            throw new OAuthException(OAuthFailure.Temporary, $"cannot reach {where}: {UpstreamHttpClient.Innermost(e)}");
        }
    }
}
