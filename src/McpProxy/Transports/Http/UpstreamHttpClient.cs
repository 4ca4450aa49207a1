using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Security.Authentication;
using McpProxy.Auth;
using McpProxy.Transports.Http.Plain;
using McpProxy.Transports.Http.Tls;
using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Http;

/// <summary>
/// Sends HTTP requests to one upstream for one session: the user's headers, the credentials that the upstream asks for, the
/// cookies that it set for stickiness, redirects within the origin, and one way to report what went wrong.
/// </summary>
internal sealed class UpstreamHttpClient(HttpUpstreamOptions options, UpstreamInvoker http, TimeProvider time, IUpstreamAuthorization? authorization = null) : IDisposable
{
    private const int MaxRedirects = 5;

    /// <summary>What one attempt to connect may take at least, however short the time for trying again is.</summary>
    private static readonly TimeSpan s_leastConnectTimeout = TimeSpan.FromSeconds(1);
    public static readonly string UserAgent = $"mcp-proxy/{typeof(UpstreamHttpClient).Assembly.GetName().Version?.ToString(3)}";

    /// <summary>How long anything may take that the proxy asks on its own account.</summary>
    public static readonly TimeSpan ControlTimeout = TimeSpan.FromSeconds(30);

    private readonly CookieContainer _cookies = new();
    private readonly CancellationTokenSource _endOfPatience = new();
    private int _answering;

    public HttpUpstreamOptions Options => options;

    public TimeProvider Time => time;

    /// <summary>Whether a request waits for credentials, so that its silence says nothing about the server.</summary>
    public bool IsWaitingForCredentials => Volatile.Read(ref _answering) > 0;

    /// <summary>Ends the waiting for a user: nobody is left to sign in for.</summary>
    public void StopWaitingForUser() => _endOfPatience.Cancel();

    public void Dispose() => _endOfPatience.Dispose();

    /// <summary>The handler that all sessions with upstreams share: connections are pooled, nothing of a session is in it.</summary>
    /// <exception cref="ArgumentException">A certificate cannot be read.</exception>
    public static UpstreamInvoker CreateInvoker(HttpUpstreamOptions options, TimeProvider time, EventLoop? loop = null) => CreateInvoker(options.Network, options.ConnectTimeout, time, loop);

    /// <summary>The same for other servers on the way there.</summary>
    /// <exception cref="ArgumentException">A certificate cannot be read.</exception>
    public static UpstreamInvoker CreateInvoker(NetworkOptions network, TimeSpan connectTimeout, TimeProvider time, EventLoop? loop = null)
    {
        var timeout = connectTimeout > s_leastConnectTimeout ? connectTimeout : s_leastConnectTimeout;
        var proxies = new SystemProxies();

        // What a user has set is looked at now, so that a mistake is found at the start.
        var tls = network.AuthorityFiles.Count > 0 || network.ClientCertificateFile is not null ? TlsSettings.Of(network) : null;
        return new(new UpstreamHandler(
            new(timeout, time, loop),
            () => new()
            {
                AllowAutoRedirect = false,
                UseCookies = false,
                AutomaticDecompression = DecompressionMethods.None,
                ConnectTimeout = timeout,
                PooledConnectionLifetime = TimeSpan.FromMinutes(15),
                EnableMultipleHttp2Connections = true,
                Proxy = proxies,
                SslOptions = tls ?? TlsSettings.Of(network),
                ConnectCallback = ConnectAsync,

                // Trace context is said once, by who knows which message it belongs to.
                ActivityHeadersPropagator = null,
            },
            proxies));
    }

    /// <summary>Prepares the POST of messages that go out with the same headers; null where that is not possible.</summary>
    public PreparedRequest? Prepare(Action<HttpRequestHeaders> setHeaders)
    {
        using var request = NewRequest(HttpMethod.Post, options.Url, ReadOnlyMemory<byte>.Empty, null, setHeaders);
        try
        {
            return http.Prepare(request);
        }
        catch (HttpRequestException)
        {
            // It cannot be sent, which whoever sends it will hear.
            return null;
        }
    }

    /// <summary>Sends a message the short way, where nothing stands against it: no credentials or cookies, and a connection that is free.</summary>
    /// <param name="request">The request.</param>
    /// <param name="body">The message.</param>
    /// <param name="headersTimeout">How long the response may take to begin.</param>
    /// <param name="occasion">Why the request is made.</param>
    /// <param name="answering">The answer, to be awaited with <see cref="Explained(Exception, TimeSpan)"/>. A response in it goes to <see cref="SendAsync"/>, which sees to what it asks for.</param>
    /// <param name="cancellationToken">Closes the exchange.</param>
    public bool TryPost(
        PreparedRequest request, ReadOnlyMemory<byte> body, TimeSpan headersTimeout, RequestOccasion occasion, out ValueTask<PlainAnswer> answering, CancellationToken cancellationToken)
    {
        answering = default;
        return _cookies.Count == 0 && IsWithoutCredential(occasion, cancellationToken)
            && PlainHttpHandler.TryPost(request, body, headersTimeout, out answering, cancellationToken);
    }

    /// <summary>Whether an exception says what went wrong between here and the upstream.</summary>
    public static bool IsExplicable(Exception e, CancellationToken cancellationToken) =>
        e is HttpRequestException || (e is TimeoutException or OperationCanceledException && !cancellationToken.IsCancellationRequested);

    /// <summary>What went wrong, in words for who waits for the answer.</summary>
    /// <param name="e">What <see cref="IsExplicable"/>.</param>
    /// <param name="headersTimeout">How long the response might have taken to begin.</param>
    public UpstreamHttpException Explained(Exception e, TimeSpan headersTimeout) => Explained(e, options.Url, headersTimeout, isTimeout: e is TimeoutException);

    /// <summary>Sends a request and returns when the response's headers are here.</summary>
    /// <param name="method">GET, POST or DELETE.</param>
    /// <param name="uri">Where to; on the upstream's origin.</param>
    /// <param name="body">The JSON body, if any.</param>
    /// <param name="headersTimeout">How long the response may take to begin.</param>
    /// <param name="occasion">Why the request is made.</param>
    /// <param name="setHeaders">Adds what this request needs beyond the user's headers.</param>
    /// <param name="cancellationToken">Closes the exchange.</param>
    /// <param name="first">The response to the request, where it was sent by <see cref="TryPost"/>.</param>
    /// <exception cref="UpstreamHttpException">There is no response.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<HttpResponseMessage> SendAsync(
        HttpMethod method,
        Uri uri,
        ReadOnlyMemory<byte>? body,
        TimeSpan headersTimeout,
        RequestOccasion occasion,
        Action<HttpRequestHeaders> setHeaders,
        CancellationToken cancellationToken,
        HttpResponseMessage? first = null)
    {
        AuthorizationAttempt? attempt = null;
        for (var redirects = 0; ;)
        {
            var credential = authorization is null || first is not null ? null : await authorization.CredentialAsync(occasion, cancellationToken);
            var response = first ?? await SendOnceAsync(method, uri, body, headersTimeout, credential, setHeaders, cancellationToken);
            if (first is not null)
            {
                KeepCookies(uri, first);
                first = null;
            }

            if (authorization is not null && response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
            {
                attempt ??= new() { Patience = _endOfPatience.Token };
                attempt.Used = credential;
                if (await AnsweredAsync(response, attempt, occasion, cancellationToken))
                {
                    attempt.Count++;
                    continue;
                }
            }

            if (response.StatusCode is not (HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect)
                || response.Headers.Location is not { } location)
            {
                return response;
            }

            response.Dispose();
            if (!Uri.TryCreate(uri, location, out var target))
            {
                throw new UpstreamHttpException($"{Describe(uri)} redirects to something that is no URL", requestWasSent: true);
            }

            if (!IsSameOrigin(uri, target) && !IsUpgrade(uri, target))
            {
                throw new UpstreamHttpException($"{Describe(uri)} redirects to another origin, {Describe(target)}: if that is the server, use that URL", requestWasSent: true);
            }

            if (redirects++ == MaxRedirects)
            {
                throw new UpstreamHttpException($"{Describe(uri)} redirects too often", requestWasSent: true);
            }

            uri = target;
        }
    }

    /// <summary>Whether a refusal was answered with better credentials; if so it is done with.</summary>
    private async Task<bool> AnsweredAsync(HttpResponseMessage refusal, AuthorizationAttempt attempt, RequestOccasion occasion, CancellationToken cancellationToken)
    {
        var answered = false;
        Interlocked.Increment(ref _answering);
        try
        {
            // Elsewhere: it reads files and waits for other processes, which must not hold up what else this thread does.
            return answered = await Task.Run(() => authorization!.AnswerAsync(refusal, attempt, occasion, cancellationToken), cancellationToken);
        }
        catch
        {
            answered = true;
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref _answering);
            if (answered)
            {
                refusal.Dispose();
            }
        }
    }

    /// <summary>The whole body, bounded by the longest message accepted.</summary>
    /// <exception cref="UpstreamHttpException">It is too long, or the connection broke.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<ResponseBytes> ReadBodyAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        // Over HTTP/1.1 a length is the end, and later revisions have one of their own to wait for.
        var length = response.Content is ResponseContent plain ? plain.KnownLength : response.Version.Major == 1 ? response.Content.Headers.ContentLength ?? -1 : -1;
        var bytes = new ResponseBytes(length <= options.MaxMessageSize ? (int)length : 0);
        try
        {
            await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
            while (bytes.Length != length && await stream.ReadAsync(bytes.Free(), cancellationToken) is > 0 and var count)
            {
                bytes.Filled(count);
                if (bytes.Length > options.MaxMessageSize)
                {
                    throw BoundedStream.TooLong(options.MaxMessageSize);
                }
            }

            return bytes;
        }
        catch (Exception e)
        {
            bytes.Dispose();
            if (e is HttpRequestException or IOException and not UpstreamHttpException)
            {
                throw new UpstreamHttpException($"the answer broke off: {e.Message}", requestWasSent: true);
            }

            throw;
        }
    }

    /// <summary>What a refusal says, short and on one line, for an error message.</summary>
    public async Task<(ReadOnlyMemory<byte> Body, string Text)> ReadRefusalAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        const int MaxText = 200;
        var status = $"the server answered HTTP {(int)response.StatusCode} {response.ReasonPhrase}".TrimEnd();
        ReadOnlyMemory<byte> body;
        try
        {
            using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            timeout.CancelAfter(ControlTimeout);
            body = ServerSentEvents.IsEventStream(response) ? await ReadFirstEventAsync(response, timeout.Token) : await KeepBodyAsync(response, timeout.Token);
        }
        catch (Exception e) when (e is UpstreamHttpException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return (default, status);
        }

        if (response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden)
        {
            var said = AuthenticationChallenge.Of(response.Headers).FirstOrDefault(challenge => challenge.IsOAuth)?.Describe();
            return (body, said is not null ? $"{status}: {said}" : authorization is null ? $"{status}: it wants other credentials (--header \"Authorization: Bearer ...\")" : status);
        }

        var text = string.Join(' ', System.Text.Encoding.UTF8.GetString(body.Span[..Math.Min(body.Length, MaxText)]).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return (body, text.Length == 0 || text[0] == '<' ? status : $"{status}: {text}");
    }

    private async Task<ReadOnlyMemory<byte>> KeepBodyAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        using var bytes = await ReadBodyAsync(response, cancellationToken);
        return bytes.Memory.ToArray();
    }

    /// <summary>Some servers send even a refusal as an event.</summary>
    private async Task<ReadOnlyMemory<byte>> ReadFirstEventAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        await foreach (var (_, data) in new ServerSentEvents(this, response).ReadAsync(cancellationToken))
        {
            if (data.Length > 0)
            {
                return data;
            }
        }

        return default;
    }

    /// <summary>A URL without what may be secret in it: some hosted servers tell their users apart by the path.</summary>
    public static string Describe(Uri uri) => uri.GetComponents(UriComponents.SchemeAndServer, UriFormat.UriEscaped);

    public static bool IsSameOrigin(Uri left, Uri right) =>
        Uri.Compare(left, right, UriComponents.SchemeAndServer, UriFormat.UriEscaped, StringComparison.OrdinalIgnoreCase) == 0;

    private static bool IsUpgrade(Uri from, Uri to) =>
        from.Scheme == Uri.UriSchemeHttp && to.Scheme == Uri.UriSchemeHttps && from.IsDefaultPort && to.IsDefaultPort
        && string.Equals(from.Host, to.Host, StringComparison.OrdinalIgnoreCase);

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<HttpResponseMessage> SendOnceAsync(
        HttpMethod method,
        Uri uri,
        ReadOnlyMemory<byte>? body,
        TimeSpan headersTimeout,
        IRequestCredential? credential,
        Action<HttpRequestHeaders> setHeaders,
        CancellationToken cancellationToken)
    {
        using var request = NewRequest(method, uri, body, credential, setHeaders);
        if (_cookies.Count > 0 && _cookies.GetCookieHeader(uri) is { Length: > 0 } cookies)
        {
            request.Headers.TryAddWithoutValidation("Cookie", cookies);
        }

        // The source lives as long as the response's body may: it is not disposed with this method.
        CancellationTokenSource? timeout = null;
        if (headersTimeout != Timeout.InfiniteTimeSpan)
        {
            timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        }

        try
        {
            using var timer = timeout is null ? null : time.CreateTimer(static state => ((CancellationTokenSource)state!).Cancel(), timeout, headersTimeout, Timeout.InfiniteTimeSpan);
            var response = await http.SendAsync(request, timeout?.Token ?? cancellationToken);
            KeepCookies(uri, response);
            credential?.Observe(response);
            return response;
        }
        catch (Exception e) when (IsExplicable(e, cancellationToken))
        {
            throw Explained(e, uri, headersTimeout, isTimeout: timeout is { IsCancellationRequested: true });
        }
    }

    private HttpRequestMessage NewRequest(HttpMethod method, Uri uri, ReadOnlyMemory<byte>? body, IRequestCredential? credential, Action<HttpRequestHeaders> setHeaders)
    {
        var request = new HttpRequestMessage(method, uri) { VersionPolicy = HttpVersionPolicy.RequestVersionOrHigher };
        if (body is { } bytes)
        {
            request.Content = new MessageContent(bytes);
            request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        }

        request.Headers.TryAddWithoutValidation("User-Agent", UserAgent);
        setHeaders(request.Headers);
        credential?.Apply(request);
        foreach (var (name, value) in options.Headers)
        {
            request.Headers.Remove(name);
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return request;
    }

    private bool IsWithoutCredential(RequestOccasion occasion, CancellationToken cancellationToken)
    {
        if (authorization is null)
        {
            return true;
        }

#pragma warning disable CA2012, VSTHRD002 // Looked at once, and not waited for: one that has to be waited for is asked for again in the general way.
        var credential = authorization.CredentialAsync(occasion, cancellationToken);
        return credential.IsCompletedSuccessfully && credential.Result is null;
#pragma warning restore CA2012, VSTHRD002
    }

    private static UpstreamHttpException Explained(Exception e, Uri uri, TimeSpan headersTimeout, bool isTimeout) => e switch
    {
        // Trying again would not change the certificate.
        HttpRequestException { InnerException: AuthenticationException } => new($"{Describe(uri)} is not trusted: {Innermost(e)} (--ca-file trusts another authority)", requestWasSent: true),
        HttpRequestException http => new(
            $"cannot reach {Describe(uri)}: {Innermost(e)}",
            http.HttpRequestError is not (HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError or HttpRequestError.ProxyTunnelError)),
        _ when isTimeout => new($"{Describe(uri)} did not begin to answer within {headersTimeout.TotalSeconds:0.#} s", requestWasSent: true),

        // SocketsHttpHandler reports its connect timeout this way.
        _ => new($"cannot reach {Describe(uri)}: {e.InnerException?.Message ?? "the connection timed out"}", requestWasSent: false),
    };

    private void KeepCookies(Uri uri, HttpResponseMessage response)
    {
        if (!response.Headers.TryGetValues("Set-Cookie", out var values))
        {
            return;
        }

        foreach (var value in values)
        {
            try
            {
                _cookies.SetCookies(uri, value);
            }
            catch (CookieException)
            {
                // A cookie that cannot be kept cannot be returned; stickiness is the upstream's wish, not ours.
            }
        }
    }

    public static string Innermost(Exception e)
    {
        while (e.InnerException is { } inner)
        {
            e = inner;
        }

        return e.Message;
    }

    private static ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken) =>
        TcpConnector.ConnectAsync(context.DnsEndPoint, cancellationToken);
}
