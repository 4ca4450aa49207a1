using McpProxy.AspNetCore.Responses;
using McpProxy.AspNetCore.Sessions;
using McpProxy.AspNetCore.Upstreams;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports;
using McpProxy.Transports.Stdio;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.AspNetCore;

/// <summary>
/// Offers one upstream over HTTP: Streamable HTTP of every revision and HTTP+SSE. Sessions of the legacy era belong to who opened them and
/// share servers as <see cref="McpEndpointOptions.SessionMode"/> says; requests of the modern era share one.
/// </summary>
public sealed partial class McpEndpoint : IAsyncDisposable
{
    private readonly McpEndpointOptions _options;
    private readonly ILogger _logger;
    private readonly RequestGuard _guard;
    private readonly CrossOrigin _crossOrigin;
    private readonly Serving _serving;
    private readonly StreamableHttpTransport _streamable;
    private readonly RequestDelegate _streamableHttp;
    private readonly SseTransport _sse;
    private readonly RequestDelegate _open;
    private readonly RequestDelegate _messages;
    private readonly UpstreamReadiness _readiness;
    private readonly StdioUpstream? _ofClients;
    private readonly bool _isOpen;

    /// <summary>Makes an endpoint; <see cref="Map"/> puts it at its paths.</summary>
    /// <param name="upstream">The server.</param>
    /// <param name="options">Paths and bounds; the defaults when null.</param>
    /// <param name="time">The clock of keep-alives and expiry.</param>
    /// <param name="loggers">Where logs go.</param>
    /// <exception cref="ArgumentException">The options do not fit the upstream.</exception>
    public McpEndpoint(IUpstream upstream, McpEndpointOptions? options = null, TimeProvider? time = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(upstream);
        _options = options ?? new();
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("http");
        _guard = new(_options);
        _crossOrigin = new(_options);
        _serving = new(upstream, _options, OnDied, time ?? TimeProvider.System, loggers ?? NullLoggerFactory.Instance);
        _streamable = new(_serving);
        _streamableHttp = AnswerAsync;
        _isOpen = _options.IsBehindFrontDoor && _options.Gates.Count == 0;
        _sse = new(_serving);
        _open = Guarded(_sse.OpenAsync);
        _messages = Guarded(_sse.PostAsync);
        _readiness = new(upstream, time ?? TimeProvider.System);

        // Serving has made sure of what it is.
        _ofClients = _options.HeaderEnvironment.Count > 0 ? (StdioUpstream)upstream : null;
    }

    /// <summary>Told when a server that was started ends without being asked to, with how it ended.</summary>
    public event Action<ConnectionEnd>? ServerDied;

    /// <summary>Sessions that exist now.</summary>
    public int SessionCount => _serving.SessionCount;

    /// <summary>Its paths, and what answers there: for a program that need not have them looked up.</summary>
    internal IEnumerable<(string Path, RequestDelegate Handle)> Paths
    {
        get
        {
            if (_options.StreamableHttpPath is { } path)
            {
                yield return (path, _streamableHttp);
            }

            if (HasSse)
            {
                yield return (_options.SsePath!, _open);
                yield return (_options.MessagesPath, _messages);
            }
        }
    }

    private bool HasSse => _options.SsePath is not null && _options.SessionMode != SessionMode.Stateless;

    /// <summary>Puts the endpoint at its paths.</summary>
    /// <returns>A builder for conventions of the application, such as its own authorisation.</returns>
    public IEndpointConventionBuilder Map(IEndpointRouteBuilder routes)
    {
        var builders = new List<IEndpointConventionBuilder>();
        if (_options.StreamableHttpPath is { } path)
        {
            builders.Add(routes.Map(path, _streamableHttp));
        }

        if (HasSse)
        {
            builders.Add(routes.Map(_options.SsePath!, _open));
            builders.Add(routes.Map(_options.MessagesPath, _messages));
        }

        return new ConventionBuilders(builders);
    }

    /// <summary>Why clients cannot be served now; null when they can. An answer is good for a while, so that asking often costs nothing.</summary>
    public ValueTask<string?> UnreadinessAsync(CancellationToken cancellationToken) =>
        _serving.IsDraining ? ValueTask.FromResult<string?>("shutting down")

        // A server that needs what clients bring along may not even start without it: there is none to be asked.
        : _ofClients is { } command ? ValueTask.FromResult(command.StartProblem)
        : _readiness.ProblemAsync(cancellationToken);

    /// <summary>Refuses new requests with 503 from now on, and waits until those in flight were answered.</summary>
    /// <param name="timeout">How long to wait at most.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task DrainAsync(TimeSpan timeout, CancellationToken cancellationToken = default) => _serving.DrainAsync(timeout, cancellationToken);

    /// <summary>Ends every session: what is in flight is answered with an error, subscriptions with their closing result, and no child is left.</summary>
    public async ValueTask DisposeAsync()
    {
        await _serving.DisposeAsync();
        await _readiness.DisposeAsync();
    }

    private void OnDied(ConnectionEnd end)
    {
        _readiness.Doubt();
        ServerDied?.Invoke(end);
    }

    private Task AnswerAsync(HttpContext context)
    {
        if (_isOpen)
        {
            Trace(context);
            if (_streamable.TryAnswer(context, out var answered))
            {
                return answered;
            }
        }

        return GuardedAsync(context, _streamable.HandleAsync);
    }

    private static void Trace(HttpContext context) => TraceContext.Receive(context.Request.Headers[TraceHeaders.Parent], context.Request.Headers[TraceHeaders.State]);

    private RequestDelegate Guarded(Func<HttpContext, Task> handle) => context => GuardedAsync(context, handle);

    private async Task GuardedAsync(HttpContext context, Func<HttpContext, Task> handle)
    {
        if (!_options.IsBehindFrontDoor && _guard.Refusal(context) is { } refusal)
        {
            LogRefused(refusal);
            await HttpReply.ErrorAsync(context, 403, default, JsonRpcErrorCode.InvalidRequest, $"Forbidden: {refusal}");
            return;
        }

        if (!_options.IsBehindFrontDoor && _crossOrigin.Apply(context))
        {
            return;
        }

        try
        {
            foreach (var gate in _options.Gates)
            {
                if (!await gate.AdmitAsync(context))
                {
                    return;
                }
            }

            if (await _serving.Limiter.AdmitAsync(context))
            {
                Trace(context);
                await handle(context);
            }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested || _serving.Closing.IsCancellationRequested)
        {
            // The client is gone, or this side is closing: nobody is left to answer.
        }
        catch (ConnectionResetException)
        {
            // It has gone in the middle of its request, which is seen there before the request is told.
            LogBrokenOff(context.Request.Path);
        }
        catch (Exception e)
        {
            // A defect of ours: the server answers 500, and what it was must not be lost.
            LogDefect(e, context.Request.Path);
            throw;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused a request: {Reason}")]
    private partial void LogRefused(string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A client broke off its request to {Where}")]
    private partial void LogBrokenOff(string where);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while serving {Where}")]
    private partial void LogDefect(Exception exception, string where);

    private sealed class ConventionBuilders(IReadOnlyList<IEndpointConventionBuilder> builders) : IEndpointConventionBuilder
    {
        public void Add(Action<EndpointBuilder> convention)
        {
            foreach (var builder in builders)
            {
                builder.Add(convention);
            }
        }

        public void Finally(Action<EndpointBuilder> finallyConvention)
        {
            foreach (var builder in builders)
            {
                builder.Finally(finallyConvention);
            }
        }
    }
}
