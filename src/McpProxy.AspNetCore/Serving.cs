using System.Collections.Concurrent;
using McpProxy.AspNetCore.Limits;
using McpProxy.AspNetCore.Responses;
using McpProxy.AspNetCore.Sessions;
using McpProxy.AspNetCore.Upstreams;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore;

/// <summary>What the transports of one endpoint share: the servers, the relays that run, and their end.</summary>
internal sealed partial class Serving : IAsyncDisposable
{
    /// <summary>Servers that nobody uses are looked for so often within the time after which they end: what it takes need not be in memory all the time for that.</summary>
    private const int LooksPerIdleTimeout = 8;

    private readonly CancellationTokenSource _closing = new();
    private readonly ConcurrentDictionary<RelaySession, (Task Over, string? Client)> _relays = [];
    private readonly ITimer _ticker;
    private readonly ILogger _logger;
    private long _lastLook;
    private int _sessions;
    private int _lastSession;
    private int _disposed;

    public Serving(IUpstream upstream, McpEndpointOptions options, Action<ConnectionEnd> died, TimeProvider time, ILoggerFactory loggers)
    {
        Options = options;
        Time = time;
        _logger = loggers.CreateLogger("http");
        Upstreams = new(upstream, options, died, time, loggers);
        OpenStreams = new(options.KeepAliveInterval, time);
        Limiter = new(options.Limits, time, RequestsInFlightOf, _logger);
        Replays = new(options.ReplayMaxTotalBytes);
        Closing = _closing.Token;
        NamesRequestsInLogs = !upstream.StartsServer || _logger.IsEnabled(LogLevel.Debug);
        var tick = options.KeepAliveInterval / 3;
        _lastLook = time.GetTimestamp();
        _ticker = time.CreateTimer(_ => Tick(), null, tick, tick);
    }

    /// <summary>Raised every third of the keep-alive interval.</summary>
    public event Action? Ticked;

    public McpEndpointOptions Options { get; }

    public TimeProvider Time { get; }

    public ILogger Logger => _logger;

    /// <summary>
    /// Whether something may be logged while a request is passed on to a server, and is to name the request: with a command nothing is, but at debug level.
    /// </summary>
    public bool NamesRequestsInLogs { get; }

    public ServedUpstreams Upstreams { get; }

    public OpenStreams OpenStreams { get; }

    /// <summary>What all sessions together may keep for clients that come back.</summary>
    public ReplayLimit Replays { get; }

    /// <summary>Who may ask for how much.</summary>
    public RequestLimiter Limiter { get; }

    /// <summary>The requests that came over HTTP and are being answered, but for those that listen until somebody ends them.</summary>
    public InFlight Requests { get; } = new();

    /// <summary>Cancelled when the endpoint ends what runs.</summary>
    public CancellationToken Closing { get; }

    /// <summary>Whether new requests are refused, since the endpoint is about to end.</summary>
    public bool IsDraining { get; private set; }

    /// <summary>Sessions that exist now.</summary>
    public int SessionCount => Volatile.Read(ref _sessions);

    /// <summary>A relay between two connections, which <see cref="RunAsync"/> runs.</summary>
    public RelaySession NewRelay(IConnection downstream, IConnection upstream) => new(downstream, upstream, Options.Relay, Time, Logger);

    /// <summary>Relays until one side ends.</summary>
    /// <param name="relay">The relay.</param>
    /// <param name="client">Whose limits its requests count against; null where they count against nobody's.</param>
    public async Task<RelayEnd> RunAsync(RelaySession relay, string? client)
    {
        var over = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        // Known before it runs: the end of the endpoint waits for every relay, and so for every server.
        _relays[relay] = (over.Task, client);
        try
        {
            return await relay.RunAsync(Closing);
        }
        finally
        {
            _relays.TryRemove(relay, out _);
            over.TrySetResult();
        }
    }

    /// <summary>What a new session is called in logs, where its id must not stand.</summary>
    public int NextSessionNumber() => Interlocked.Increment(ref _lastSession);

    /// <summary>Takes a place for a new session.</summary>
    /// <returns>False when there is none, and the request was answered.</returns>
    public async Task<bool> TryOpenAsync(HttpContext context, JsonRpcId id)
    {
        if (Interlocked.Increment(ref _sessions) <= Options.MaxSessions)
        {
            return true;
        }

        Close();
        await RefuseForNowAsync(context, id, $"Too many sessions ({Options.MaxSessions}); try again later");
        return false;
    }

    /// <summary>Gives the place of a session back.</summary>
    public void Close() => Interlocked.Decrement(ref _sessions);

    /// <summary>Finds the server for a client; the caller leaves it when it is done.</summary>
    /// <returns>Null when there is none, and the request was answered.</returns>
    public async Task<ServedUpstream?> EnterAsync(HttpContext context, JsonRpcId id)
    {
        var served = Upstreams.Enter(context.Request, out var problem);
        if (problem is not null)
        {
            await (problem.StartsWith("Bad", StringComparison.Ordinal)
                ? HttpReply.ErrorAsync(context, 400, id, JsonRpcErrorCode.InvalidRequest, problem)
                : RefuseForNowAsync(context, id, problem));
        }

        return served;
    }

    /// <summary>Refuses what would begin something new while the endpoint is about to end.</summary>
    /// <returns>Whether the request was answered.</returns>
    public async Task<bool> RefuseWhileDrainingAsync(HttpContext context, JsonRpcId id)
    {
        if (!IsDraining)
        {
            return false;
        }

        context.Response.Headers.Connection = "close";
        await RefuseForNowAsync(context, id, "The server is shutting down");
        return true;
    }

    /// <summary>Refuses new requests from now on, and waits until those in flight were answered.</summary>
    public async Task DrainAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        IsDraining = true;
        try
        {
            await Task.WhenAll(_relays.Keys.Select(relay => relay.DrainedAsync()).Append(Requests.NoneAsync())).WaitAsync(timeout, Time, cancellationToken);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            LogNotDrained(timeout.TotalSeconds);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        IsDraining = true;
        await _closing.CancelAsync();
        await _ticker.DisposeAsync();
        await OpenStreams.DisposeAsync();

        // Together: a relay may be waiting for a shared server that does not read, and that wait ends with the server.
        await Task.WhenAll(_relays.Values.Select(relay => relay.Over).Append(Upstreams.DisposeAsync().AsTask()));
    }

    private static Task RefuseForNowAsync(HttpContext context, JsonRpcId id, string reason)
    {
        context.Response.Headers.RetryAfter = "10";
        return HttpReply.ErrorAsync(context, 503, id, JsonRpcErrorCode.UpstreamUnavailable, reason);
    }

    private int RequestsInFlightOf(string client) => _relays.Where(relay => relay.Value.Client == client).Sum(relay => relay.Key.RequestsInFlight);

    private void Tick()
    {
        OpenStreams.Tick();
        Ticked?.Invoke();
        if (Time.GetElapsedTime(_lastLook) >= Options.SessionIdleTimeout / LooksPerIdleTimeout)
        {
            _lastLook = Time.GetTimestamp();
            _ = CloseIdleAsync();
        }
    }

    private async Task CloseIdleAsync()
    {
        try
        {
            await Upstreams.CloseIdleAsync(Options.SessionIdleTimeout);
        }
        catch (Exception e)
        {
            LogIdleFailed(e);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Requests were still unanswered {Seconds} s after the end was asked for")]
    private partial void LogNotDrained(double seconds);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while ending servers that nobody uses")]
    private partial void LogIdleFailed(Exception exception);
}
