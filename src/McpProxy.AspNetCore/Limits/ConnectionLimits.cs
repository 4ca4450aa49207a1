using McpProxy.AspNetCore.Connections.Usual;
using Microsoft.AspNetCore.Http;
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

    /// <summary>What headers may be long together before the server itself refuses them; a buffer must hold that much, since one header may be all of it.</summary>
    internal int MostHeaderSize => Doubled(MaxHeaderSize);

    /// <summary>
    /// The same for a server behind a <see cref="Access.FrontDoor"/>, which refuses too many headers in words. Only who sends twice as many as allowed
    /// gets the bare 431 of Kestrel.
    /// </summary>
    internal void ApplyBehindDoorTo(KestrelServerLimits limits)
    {
        ApplyTo(limits);
        limits.MaxRequestHeaderCount = Doubled(MaxHeaderCount);
        limits.MaxRequestHeadersTotalSize = MostHeaderSize;
        limits.MaxRequestBufferSize = Math.Max(limits.MaxRequestBufferSize ?? 0, MostHeaderSize);
    }

    /// <summary>Whether a body comes so slowly that it is not waited for.</summary>
    /// <param name="waited">How long it was waited for so far.</param>
    /// <param name="came">How many bytes have come.</param>
    internal bool IsTooSlow(TimeSpan waited, long came) => BodyTimeout > TimeSpan.Zero && waited > BodyTimeout && came < LeastBodyRate * waited.TotalSeconds;

    /// <summary>Why a request's headers are too many; null when they are not.</summary>
    internal string? Refusal(IHeaderDictionary headers)
    {
        if (headers is HeaderList list && list.Count <= MaxHeaderCount && list.Size <= MaxHeaderSize)
        {
            return null;
        }

        var (count, size) = (0, 0);
        foreach (var (name, values) in headers)
        {
            foreach (var value in values)
            {
                count++;
                size += name.Length + (value?.Length ?? 0) + 4;
            }
        }

        return count > MaxHeaderCount ? $"The request has {count} headers: {MaxHeaderCount} are allowed (--max-header-count)"
            : size > MaxHeaderSize ? $"The headers have {size} bytes together: {MaxHeaderSize} are allowed (--max-header-size)"
            : null;
    }

    private static int Doubled(int limit) => (int)Math.Min(2L * limit, int.MaxValue);

    private static TimeSpan OrNever(TimeSpan time) => time == TimeSpan.Zero ? Timeout.InfiniteTimeSpan : time;
}
