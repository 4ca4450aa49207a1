using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace McpProxy.AspNetCore.Limits;

/// <summary>What one connection may cost before a request has come in, for a server that is Kestrel.</summary>
public sealed record ConnectionLimits
{
    /// <summary>The slowest body that is waited for once its grace is over, in bytes a second: a sender who gives that little keeps no connection.</summary>
    private const double LeastBodyRate = 240;

    /// <summary>Connections that may be open at once; more are closed as they come. Default: 5000, some for each session. 0: no limit.</summary>
    public int MaxConnections { get; init; } = 5000;

    /// <summary>How long the headers of a request may take to arrive; then 408. Default: 30 s. Zero: no limit.</summary>
    public TimeSpan HeaderTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a body may take before it has to come at 240 bytes a second at least; then 408. Default: 30 s. Zero: no limit.</summary>
    public TimeSpan BodyTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a connection is kept open without a request. Default: 130 s, longer than reverse proxies keep theirs. Zero: no limit.</summary>
    public TimeSpan KeepAliveTimeout { get; init; } = TimeSpan.FromSeconds(130);

    /// <summary>Headers that a request may have; more is 431. Default: 100.</summary>
    public int MaxHeaderCount { get; init; } = 100;

    /// <summary>Bytes that the headers of a request may have together; more is 431. Default: 32768.</summary>
    public int MaxHeaderSize { get; init; } = 32768;

    /// <summary>Sets a server's limits.</summary>
    public void ApplyTo(KestrelServerLimits limits)
    {
        ArgumentNullException.ThrowIfNull(limits);
        limits.MaxConcurrentConnections = limits.MaxConcurrentUpgradedConnections = MaxConnections == 0 ? null : MaxConnections;
        limits.RequestHeadersTimeout = OrNever(HeaderTimeout);
        limits.KeepAliveTimeout = OrNever(KeepAliveTimeout);
        limits.MinRequestBodyDataRate = BodyTimeout == TimeSpan.Zero ? null : new(LeastBodyRate, BodyTimeout < TimeSpan.FromSeconds(1.1) ? TimeSpan.FromSeconds(1.1) : BodyTimeout);
        limits.MaxRequestHeaderCount = MaxHeaderCount;
        limits.MaxRequestHeadersTotalSize = MaxHeaderSize;
    }

    private static TimeSpan OrNever(TimeSpan time) => time == TimeSpan.Zero ? Timeout.InfiniteTimeSpan : time;
}
