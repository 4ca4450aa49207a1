using McpProxy.Transports;
using McpProxy.Transports.Stdio;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Upstreams;

/// <summary>
/// The servers of an endpoint: one for all clients, or, where headers of the client become variables of the server's environment, one
/// for each set of values.
/// </summary>
internal sealed class ServedUpstreams : IAsyncDisposable
{
    private const int MaxValueLength = 8 * 1024;

    private readonly IUpstream _upstream;
    private readonly McpEndpointOptions _options;
    private readonly Action<ConnectionEnd> _died;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly ServedUpstream _common;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ServedUpstream> _byEnvironment = new(StringComparer.Ordinal);
    private bool _closed;

    /// <exception cref="ArgumentException">Headers are to become variables of something that is no started server.</exception>
    public ServedUpstreams(IUpstream upstream, McpEndpointOptions options, Action<ConnectionEnd> died, TimeProvider time, ILoggerFactory loggers)
    {
        if (options.HeaderEnvironment.Count > 0 && upstream is not StdioUpstream)
        {
            throw new ArgumentException("Headers can become variables of a command's environment only", nameof(options));
        }

        _upstream = upstream;
        _options = options;
        _died = died;
        _time = time;
        _loggers = loggers;
        _common = new(upstream, options, options.WarmServers, died, time, loggers);
    }

    /// <summary>The server for a client, which leaves it again when it is done.</summary>
    /// <returns>Null, with the reason, when there cannot be one.</returns>
    public ServedUpstream? Enter(HttpRequest request, out string? problem)
    {
        var environment = EnvironmentOf(request, out problem);
        if (problem is not null)
        {
            return null;
        }

        ServedUpstream? served = _common;
        if (environment.Count > 0)
        {
            var key = string.Join('\0', environment.OrderBy(variable => variable.Key, StringComparer.Ordinal).Select(variable => $"{variable.Key}={variable.Value}"));
            lock (_gate)
            {
                if (!_byEnvironment.TryGetValue(key, out served))
                {
                    if (_closed || _byEnvironment.Count >= _options.MaxSessions)
                    {
                        problem = $"Too many servers ({_options.MaxSessions}); try again later";
                        return null;
                    }

                    _byEnvironment.Add(key, served = new(((StdioUpstream)_upstream).With(environment), _options, warm: 0, _died, _time, _loggers));
                }

                served.Enter();
                return served;
            }
        }

        served.Enter();
        return served;
    }

    /// <summary>Ends servers that nobody has used for a while.</summary>
    public async Task CloseIdleAsync(TimeSpan idle)
    {
        await _common.CloseWhenIdleAsync(idle);
        List<KeyValuePair<string, ServedUpstream>> all;
        lock (_gate)
        {
            all = _byEnvironment.Count == 0 ? [] : [.. _byEnvironment];
        }

        foreach (var (key, served) in all)
        {
            if (!await served.CloseWhenIdleAsync(idle))
            {
                continue;
            }

            bool isUnused;
            lock (_gate)
            {
                // Somebody may have come in between.
                isUnused = served.IsUnused && _byEnvironment.Remove(key);
            }

            if (isUnused)
            {
                await served.DisposeAsync();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        List<ServedUpstream> all;
        lock (_gate)
        {
            _closed = true;
            all = [_common, .. _byEnvironment.Values];
        }

        await Task.WhenAll(all.Select(served => served.DisposeAsync().AsTask()));
    }

    private Dictionary<string, string> EnvironmentOf(HttpRequest request, out string? problem)
    {
        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        problem = null;
        foreach (var (header, variable) in _options.HeaderEnvironment)
        {
            var values = request.Headers[header];
            if (values.Count == 0)
            {
                continue;
            }

            var value = values[0]!;
            if (values.Count > 1 || value.Length > MaxValueLength || value.Contains('\0', StringComparison.Ordinal))
            {
                problem = $"Bad request: the header {header} must be given once, with at most {MaxValueLength} characters";
                break;
            }

            environment[variable] = value;
        }

        return environment;
    }
}
