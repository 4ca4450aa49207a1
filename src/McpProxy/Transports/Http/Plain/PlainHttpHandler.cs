using System.Collections.Concurrent;
using System.Net.Sockets;
using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Http.Plain;

/// <summary>
/// HTTP/1.1 over TCP and nothing else: what a server on this machine or beside it needs, at a fraction of what the general handler costs. It
/// keeps connections, and does not follow redirects, keep cookies or know proxies.
/// </summary>
/// <param name="connectTimeout">How long one attempt to connect may take.</param>
/// <param name="time">The clock of timeouts.</param>
/// <param name="loop">Waits for the connections; null leaves that to the runtime.</param>
internal sealed class PlainHttpHandler(TimeSpan connectTimeout, TimeProvider time, EventLoop? loop = null) : HttpMessageHandler
{
    private readonly ConcurrentDictionary<(string Host, int Port), PlainPool> _pools = new();
    private volatile Known? _last;

    /// <summary>Makes a request of which all is known but the body; null where it cannot be sent on a connection that others use after it.</summary>
    /// <exception cref="HttpRequestException">A header has a character that cannot be sent.</exception>
    public PreparedRequest? Prepare(HttpRequestMessage request)
    {
        var (target, pool) = Find(request.RequestUri!);
        return RequestHead.Common(request, target) is { } head ? new(pool, head) : null;
    }

    /// <summary>Sends a request that was prepared, where a connection is free for it.</summary>
    /// <param name="request">The request.</param>
    /// <param name="body">Its body.</param>
    /// <param name="limit">How long the response may take to begin.</param>
    /// <param name="answering">The answer.</param>
    /// <param name="cancellationToken">Closes the exchange.</param>
    /// <returns>False when there is no such connection: it has to be sent in the general way.</returns>
    public static bool TryPost(PreparedRequest request, ReadOnlyMemory<byte> body, TimeSpan limit, out ValueTask<PlainAnswer> answering, CancellationToken cancellationToken)
    {
        var connection = Reusable(request.Pool, cancellationToken);
        answering = connection?.ExchangeAsync(request, body, limit, cancellationToken) ?? default;
        return connection is not null;
    }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var body = request.Content switch
        {
            null => default,
            MessageContent message => message.Bytes,
            var other => await other.ReadAsByteArrayAsync(cancellationToken),
        };
        var (target, pool) = Find(request.RequestUri!);
        for (var mayReuse = true; ;)
        {
            var isReused = true;
            if (!mayReuse || Reusable(pool, cancellationToken) is not { } connection)
            {
                connection = await ConnectAsync(target, pool, cancellationToken);
                connection.TryBegin(cancellationToken);
                isReused = false;
            }

            try
            {
                return (await connection.ExchangeAsync(request, target, body, cancellationToken)).Response!;
            }
            catch (HttpRequestException e) when (!cancellationToken.IsCancellationRequested
                && (e.HttpRequestError == HttpRequestError.ConnectionError || (isReused && request.Content is null && !connection.HasReceived)))
            {
                // The server has closed an idle connection while the request was on its way. What has a body may do something, and is
                // not done twice on a guess (RFC 9110, section 9.2.2): only where the connection's end came before the request did.
                mayReuse = false;
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (var pool in _pools.Values)
            {
                pool.Dispose();
            }
        }

        base.Dispose(disposing);
    }

    private Known Find(Uri uri)
    {
        if (_last is { } last && ReferenceEquals(last.Target.Uri, uri))
        {
            return last;
        }

        var target = new PlainTarget(uri);
        return _last = new(target, _pools.GetOrAdd((target.Host, target.Port), static (_, time) => new(time), time));
    }

    private static PlainConnection? Reusable(PlainPool pool, CancellationToken cancellationToken)
    {
        while (pool.TryTake() is { } connection)
        {
            if (connection.TryBegin(cancellationToken))
            {
                return connection;
            }

            connection.Dispose();
        }

        return null;
    }

    private async Task<PlainConnection> ConnectAsync(PlainTarget target, PlainPool pool, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(connectTimeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            var stream = loop is not null && OperatingSystem.IsLinux()
                ? await TcpConnector.ConnectAsync(target.EndPoint, loop, either.Token)
                : await TcpConnector.ConnectAsync(target.EndPoint, either.Token);
            return new(stream, pool, time);
        }
        catch (SocketException e)
        {
            var isName = e.SocketErrorCode is SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData or SocketError.NoRecovery;
            throw new HttpRequestException(isName ? HttpRequestError.NameResolutionError : HttpRequestError.ConnectionError, $"{e.Message} ({target.HostHeader})", e);
        }
        catch (OperationCanceledException e) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TaskCanceledException(e.Message, new TimeoutException("A connection could not be established within the configured ConnectTimeout.", e));
        }
    }

    /// <summary>A target and its connections, together so that the usual case is one look.</summary>
    private sealed record Known(PlainTarget Target, PlainPool Pool);
}
