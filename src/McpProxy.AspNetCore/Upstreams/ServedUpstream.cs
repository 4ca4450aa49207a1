using McpProxy.Eras;
using McpProxy.Relay.Restarting;
using McpProxy.Relay.Sharing;
using McpProxy.Transports;
using McpProxy.Transports.Stdio;
using McpProxy.Transports.StreamableHttp;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Upstreams;

/// <summary>One server as the clients of an endpoint use it: for sessions, and for requests without one.</summary>
internal sealed class ServedUpstream : IAsyncDisposable
{
    private readonly IUpstream _upstream;
    private readonly McpEndpointOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly WarmUpstream? _warm;
    private readonly EraBridge? _bridge;
    private readonly SharedUpstream? _sharedSessions;
    private readonly SharedUpstream? _sharedRequests;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, SharedPool> _pools = new(StringComparer.Ordinal);
    private int _users;
    private long _lastUse;

    /// <param name="upstream">The server.</param>
    /// <param name="options">How sessions and servers belong together.</param>
    /// <param name="warm">How many servers to keep started in advance.</param>
    /// <param name="died">Told of servers that ended unasked.</param>
    /// <param name="time">The clock.</param>
    /// <param name="loggers">Where it logs.</param>
    public ServedUpstream(IUpstream upstream, McpEndpointOptions options, int warm, Action<ConnectionEnd> died, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options;
        _time = time;
        _logger = loggers.CreateLogger("http");
        _lastUse = time.GetTimestamp();
        Tools = new(_logger);
        if (upstream.StartsServer)
        {
            _warm = warm > 0 ? new(upstream, warm, _logger) : null;
            upstream = new WatchedUpstream(_warm ?? upstream, died);
        }

        _bridge = options.Bridge is null ? null : new(upstream, options.Bridge, time, loggers);
        upstream = _bridge ?? upstream;
        _upstream = upstream.StartsServer ? new RestartingUpstream(upstream, time, _logger) : upstream;
        _sharedRequests = _bridge is null && upstream.StartsServer ? new(_upstream, _logger, time: time) : null;
        _sharedSessions = options.SessionMode == SessionMode.SharedServer ? new(_upstream, _logger, new(), time) : null;
        Sessions = _sharedSessions ?? _upstream;
    }

    /// <summary>For sessions of the legacy era.</summary>
    public IUpstream Sessions { get; }

    /// <summary>For requests of the modern era.</summary>
    /// <param name="principal">Who asks: with a server of the legacy era, nobody else uses the same session.</param>
    public IUpstream RequestsOf(string? principal) => _bridge is null ? _sharedRequests ?? _upstream : new OfPrincipal(_bridge, principal);

    /// <summary>What its tools want mirrored in headers, as far as it is known.</summary>
    public ToolHeaderCatalog Tools { get; }

    /// <summary>Connects a request of the legacy era that has no session.</summary>
    public IConnection ConnectWithoutSession(string protocolVersion)
    {
        lock (_gate)
        {
            if (!_pools.TryGetValue(protocolVersion, out var pool))
            {
                var sessions = new SharedSessionOptions { Initialize = OwnIntroduction.Initialize(protocolVersion) };
                _pools.Add(protocolVersion, pool = new(() => new(_upstream, _logger, sessions, _time), _options.StatelessServers));
            }

            return pool.Connect();
        }
    }

    /// <summary>Whether no client uses it now.</summary>
    public bool IsUnused
    {
        get
        {
            lock (_gate)
            {
                return _users == 0;
            }
        }
    }

    /// <summary>A client begins to use this server.</summary>
    public void Enter()
    {
        lock (_gate)
        {
            _users++;
        }
    }

    /// <summary>A client has stopped using this server.</summary>
    public void Leave()
    {
        lock (_gate)
        {
            _users--;
            _lastUse = _time.GetTimestamp();
        }
    }

    /// <summary>Ends servers that nobody has used for a while.</summary>
    /// <returns>Whether nothing is left and nobody uses it.</returns>
    public async ValueTask<bool> CloseWhenIdleAsync(TimeSpan idle)
    {
        List<SharedPool> pools;
        lock (_gate)
        {
            pools = _pools.Count == 0 ? [] : [.. _pools.Values];
        }

        foreach (var pool in pools)
        {
            await pool.CloseWhenIdleAsync(idle);
        }

        await (_bridge?.CloseWhenIdleAsync(idle) ?? ValueTask.CompletedTask);
        await (_sharedRequests?.CloseWhenIdleAsync(idle) ?? ValueTask.FromResult(true));
        await (_sharedSessions?.CloseWhenIdleAsync(idle) ?? ValueTask.FromResult(true));
        lock (_gate)
        {
            return _users == 0 && _time.GetElapsedTime(_lastUse) >= idle;
        }
    }

    public async ValueTask DisposeAsync()
    {
        List<Task> closing = [];
        lock (_gate)
        {
            closing.AddRange(_pools.Values.Select(pool => pool.DisposeAsync().AsTask()));
        }

        closing.AddRange(((IAsyncDisposable?[])[_sharedRequests, _sharedSessions, _bridge, _warm]).OfType<IAsyncDisposable>().Select(part => part.DisposeAsync().AsTask()));
        await Task.WhenAll(closing);
    }
}
