using System.Collections.Concurrent;
using McpProxy.Eras;
using McpProxy.JsonRpc;
using McpProxy.Relay;
using McpProxy.Transports;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.AspNetCore;

/// <summary>
/// Offers one upstream over HTTP: Streamable HTTP of every revision and HTTP+SSE, each legacy session with a connection of
/// its own, requests of the modern era on a shared one.
/// </summary>
public sealed partial class McpEndpoint : IAsyncDisposable
{
    private readonly IUpstream _upstream;
    private readonly IUpstream _statelessUpstream;
    private readonly SharedUpstream? _shared;
    private readonly McpEndpointOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly RequestGuard _guard;
    private readonly CrossOrigin _crossOrigin;
    private readonly OpenStreams _openStreams;
    private readonly ToolHeaderCatalog _tools;
    private readonly StatelessValidator _validator;
    private readonly ConcurrentDictionary<string, StreamableHttpSession> _sessions = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, SseSession> _sseSessions = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Task, byte> _running = [];
    private readonly CancellationTokenSource _closing = new();
    private readonly ITimer _ticker;
    private int _disposed;

    /// <summary>Makes an endpoint; <see cref="Map"/> puts it at its paths.</summary>
    /// <param name="upstream">The server.</param>
    /// <param name="options">Paths and bounds; the defaults when null.</param>
    /// <param name="time">The clock of keep-alives and expiry.</param>
    /// <param name="loggers">Where logs go.</param>
    public McpEndpoint(IUpstream upstream, McpEndpointOptions? options = null, TimeProvider? time = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(upstream);
        _upstream = upstream;
        _options = options ?? new();
        _time = time ?? TimeProvider.System;
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("http");
        _shared = upstream is IPrincipalUpstream || upstream.IsHttp ? null : new SharedUpstream(upstream, _logger);
        _statelessUpstream = _shared ?? upstream;
        _guard = new(_options);
        _crossOrigin = new(_options);
        _openStreams = new(_options.KeepAliveInterval, _time);
        _tools = new(_logger);
        _validator = new(_tools);
        var tick = _options.KeepAliveInterval / 3;
        _ticker = _time.CreateTimer(_ => Tick(), null, tick, tick);
    }

    /// <summary>Sessions that exist now.</summary>
    public int SessionCount => _sessions.Count + _sseSessions.Count;

    /// <summary>Puts the endpoint at its paths.</summary>
    /// <returns>A builder for conventions of the application, such as its own authorisation.</returns>
    public IEndpointConventionBuilder Map(IEndpointRouteBuilder routes)
    {
        var builders = new List<IEndpointConventionBuilder>();
        if (_options.StreamableHttpPath is { } path)
        {
            builders.Add(routes.Map(path, context => GuardedAsync(context, McpAsync)));
        }

        if (_options.SsePath is { } ssePath)
        {
            builders.Add(routes.Map(ssePath, context => GuardedAsync(context, SseAsync)));
            builders.Add(routes.Map(_options.MessagesPath, context => GuardedAsync(context, MessagesAsync)));
        }

        return new ConventionBuilders(builders);
    }

    /// <summary>Ends every session: what is in flight is answered with an error, and no child is left.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _closing.CancelAsync();
        await _ticker.DisposeAsync();
        await _openStreams.DisposeAsync();

        // Together: a relay may be waiting for a shared child that does not read, and that wait ends with the child.
        var shared = _shared?.DisposeAsync().AsTask() ?? (_upstream as EraBridge)?.DisposeAsync().AsTask() ?? Task.CompletedTask;
        await Task.WhenAll(_running.Keys);
        await shared;
    }

    private static string Query(HttpContext context, string first, string second) =>
        context.Request.Query[first] is { Count: > 0 } value ? value.ToString() : context.Request.Query[second].ToString();

    private static bool Accepts(HttpContext context, string type)
    {
        var accept = context.Request.Headers.Accept.ToString();
        return accept.Length == 0 || accept.Contains(type, StringComparison.OrdinalIgnoreCase) || accept.Contains("*/*", StringComparison.Ordinal)
            || accept.Contains(string.Concat(type.AsSpan(0, type.IndexOf('/', StringComparison.Ordinal)), "/*"), StringComparison.OrdinalIgnoreCase);
    }

    private static Task NotAllowedAsync(HttpContext context, string allow)
    {
        // Without a body: clients that look for the right transport take a JSON-RPC error for an answer and stop looking.
        context.Response.Headers.Allow = allow;
        context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        return Task.CompletedTask;
    }

    private async Task GuardedAsync(HttpContext context, Func<HttpContext, Task> handle)
    {
        if (_guard.Refusal(context) is { } refusal)
        {
            LogRefused(refusal);
            await HttpReply.ErrorAsync(context, 403, default, JsonRpcErrorCode.InvalidRequest, $"Forbidden: {refusal}");
            return;
        }

        if (_crossOrigin.Apply(context))
        {
            return;
        }

        if (_closing.IsCancellationRequested)
        {
            await HttpReply.ErrorAsync(context, 503, default, JsonRpcErrorCode.UpstreamUnavailable, "The server is shutting down");
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

            await handle(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested || _closing.IsCancellationRequested)
        {
            // The client is gone, or this side is closing: nobody is left to answer.
        }
        catch (Exception e)
        {
            // A defect of ours: the server answers 500, and what it was must not be lost.
            LogDefect(e, context.Request.Path);
            throw;
        }
    }

    private Task McpAsync(HttpContext context) => context.Request.Method switch
    {
        "POST" => PostAsync(context),
        "GET" => GetAsync(context),
        "DELETE" => DeleteAsync(context),
        _ => NotAllowedAsync(context, "GET, POST, DELETE"),
    };

    private async Task PostAsync(HttpContext context)
    {
        var acceptsJson = Accepts(context, "application/json");
        var acceptsEvents = Accepts(context, "text/event-stream");
        if (!acceptsJson && !acceptsEvents)
        {
            await HttpReply.ErrorAsync(context, 406, default, JsonRpcErrorCode.InvalidRequest, "Not acceptable: accept application/json, text/event-stream or both");
            return;
        }

        if (await RequestBody.ReadAsync(context, _options.MaxMessageSize) is not { } messages)
        {
            return;
        }

        var first = messages[0];
        var version = context.Request.Headers[McpHeaders.ProtocolVersion].ToString();
        var sessionId = context.Request.Headers[McpHeaders.SessionId].ToString();
        if (first.Kind != JsonRpcMessageKind.Response && (first.IsModern() || (version.Length > 0 && !ProtocolVersions.IsLegacy(version) && sessionId.Length == 0)))
        {
            await StatelessAsync(context, messages, acceptsJson, acceptsEvents);
        }
        else if (first.Kind == JsonRpcMessageKind.Request && first.Is("initialize"u8))
        {
            await OpenSessionAsync(context, messages, acceptsJson, acceptsEvents);
        }
        else if (await FindSessionAsync(context, sessionId, first.Kind == JsonRpcMessageKind.Request ? first.Id : default) is { } session)
        {
            await session.PostAsync(context, messages, acceptsJson, acceptsEvents);
        }
    }

    private async Task GetAsync(HttpContext context)
    {
        if (!Accepts(context, "text/event-stream"))
        {
            await HttpReply.ErrorAsync(context, 406, default, JsonRpcErrorCode.InvalidRequest, "Not acceptable: a GET opens an event stream; accept text/event-stream");
        }
        else if (await FindSessionAsync(context, context.Request.Headers[McpHeaders.SessionId].ToString(), default) is { } session)
        {
            await session.GetAsync(context);
        }
    }

    private async Task DeleteAsync(HttpContext context)
    {
        if (await FindSessionAsync(context, context.Request.Headers[McpHeaders.SessionId].ToString(), default) is { } session)
        {
            _sessions.TryRemove(session.Id, out _);
            session.End("deleted by the client");
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }
    }

    private async Task<StreamableHttpSession?> FindSessionAsync(HttpContext context, string id, JsonRpcId request)
    {
        if (id.Length == 0)
        {
            await HttpReply.ErrorAsync(
                context, 400, request, JsonRpcErrorCode.UpstreamUnavailable, "Bad request: no Mcp-Session-Id header; a session starts with an initialize request");
            return null;
        }

        if (!_sessions.TryGetValue(id, out var session))
        {
            await HttpReply.ErrorAsync(context, 404, request, -32001, "Session not found: it has ended or never existed; initialize again");
            return null;
        }

        var version = context.Request.Headers[McpHeaders.ProtocolVersion].ToString();
        if (!session.AcceptsVersion(version))
        {
            await HttpReply.ErrorAsync(context, 400, request, JsonRpcErrorCode.UpstreamUnavailable, $"Bad request: unsupported MCP-Protocol-Version \"{version}\"");
            return null;
        }

        return session;
    }

    private async Task OpenSessionAsync(HttpContext context, List<JsonRpcMessage> messages, bool acceptsJson, bool acceptsEvents)
    {
        if (messages.Count > 1)
        {
            await HttpReply.ErrorAsync(context, 400, messages[0].Id, JsonRpcErrorCode.InvalidRequest, "Invalid request: initialize must not be part of a batch");
            return;
        }

        if (await RefuseWhenFullAsync(context, messages[0].Id))
        {
            return;
        }

        var session = new StreamableHttpSession(_options, _openStreams, _time);
        _sessions[session.Id] = session;
        session.Running = Track(RunSessionAsync(session));
        await session.PostAsync(context, messages, acceptsJson, acceptsEvents);
    }

    private async Task RunSessionAsync(StreamableHttpSession session)
    {
        try
        {
            var end = await new RelaySession(session, _upstream.Connect(), _options.Relay, _time, _logger).RunAsync(_closing.Token);
            LogSessionEnded(end.End.Detail);
            session.EndDetail = end.End.Detail;
        }
        catch (Exception e)
        {
            LogDefect(e, "a session");
            session.End("the proxy failed");
        }
        finally
        {
            _sessions.TryRemove(session.Id, out _);
        }
    }

    private async Task<bool> RefuseWhenFullAsync(HttpContext context, JsonRpcId id)
    {
        if (SessionCount < _options.MaxSessions)
        {
            return false;
        }

        context.Response.Headers.RetryAfter = "10";
        await HttpReply.ErrorAsync(context, 503, id, JsonRpcErrorCode.UpstreamUnavailable, $"Too many sessions ({_options.MaxSessions}); try again later");
        return true;
    }

    private async Task StatelessAsync(HttpContext context, List<JsonRpcMessage> messages, bool acceptsJson, bool acceptsEvents)
    {
        var message = messages[0];
        if (messages.Count > 1)
        {
            await HttpReply.ErrorAsync(context, 400, default, JsonRpcErrorCode.InvalidRequest, "Invalid request: this protocol version has no batches");
            return;
        }

        if (message.Kind == JsonRpcMessageKind.Notification)
        {
            // The era has no client notification that means anything without the stream of its request: closing that is the cancellation.
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            return;
        }

        var upstream = _upstream is IPrincipalUpstream principals ? new OfPrincipal(principals, Principal.Of(context.User)) : _statelessUpstream;
        if (await _validator.ProblemAsync(context.Request, message, upstream, context.RequestAborted) is { } problem)
        {
            await HttpReply.JsonAsync(context, 400, JsonRpcWriter.ErrorUtf8(message.Id, problem.Code, problem.Message, problem.Data));
            return;
        }

        var response = new EventStream(context, _time) { AcceptsJson = acceptsJson, AcceptsEvents = acceptsEvents };
        _openStreams.Add(response);
        try
        {
            var relay = new RelaySession(new StatelessExchange(message, response, _tools), upstream.Connect(), _options.Relay, _time, _logger);
            await Track(relay.RunAsync(_closing.Token));
        }
        finally
        {
            _openStreams.Remove(response);
            await response.DisposeAsync();
        }
    }

    private async Task SseAsync(HttpContext context)
    {
        if (context.Request.Method != "GET")
        {
            await NotAllowedAsync(context, "GET");
            return;
        }

        if (!Accepts(context, "text/event-stream"))
        {
            await HttpReply.ErrorAsync(context, 406, default, JsonRpcErrorCode.InvalidRequest, "Not acceptable: accept text/event-stream");
            return;
        }

        if (await RefuseWhenFullAsync(context, default))
        {
            return;
        }

        await using var session = new SseSession(context, _time);
        _sseSessions[session.Id] = session;
        _openStreams.Add(session.Stream);
        try
        {
            var relay = new RelaySession(session, _upstream.Connect(), _options.Relay, _time, _logger).RunAsync(_closing.Token);
            _ = Track(relay);
            await session.Stream.SendAsync(System.Text.Encoding.UTF8.GetBytes($"{PublicPath(context)}?sessionId={session.Id}"), id: null, type: "endpoint");
            var end = await relay;
            LogSessionEnded(end.End.Detail);
        }
        finally
        {
            _openStreams.Remove(session.Stream);
            _sseSessions.TryRemove(session.Id, out _);
        }
    }

    /// <summary>The path that the client has to post to: it sees what a reverse proxy in front of us shows.</summary>
    private string PublicPath(HttpContext context) =>
        _options.BaseUrl is { } url
            ? (url.IsAbsoluteUri ? url.AbsolutePath : url.OriginalString).TrimEnd('/') + _options.MessagesPath
            : context.Request.PathBase + _options.MessagesPath;

    private async Task MessagesAsync(HttpContext context)
    {
        if (context.Request.Method != "POST")
        {
            await NotAllowedAsync(context, "POST");
            return;
        }

        var id = Query(context, "sessionId", "session_id");
        if (id.Length == 0)
        {
            await HttpReply.ErrorAsync(context, 400, default, JsonRpcErrorCode.InvalidRequest, "Bad request: the URL has no sessionId; post to the URL that the endpoint event names");
        }
        else if (!_sseSessions.TryGetValue(id, out var session))
        {
            await HttpReply.ErrorAsync(context, 404, default, -32001, "Session not found: its event stream has ended");
        }
        else if (await RequestBody.ReadAsync(context, _options.MaxMessageSize) is { } messages)
        {
            await session.DeliverAsync(messages);
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            await context.Response.WriteAsync("Accepted", context.RequestAborted);
        }
    }

    private Task<T> Track<T>(Task<T> work)
    {
        _ = Track((Task)work);
        return work;
    }

    private Task Track(Task work)
    {
        _running.TryAdd(work, 0);
        _ = work.ContinueWith(done => _running.TryRemove(done, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        return work;
    }

    private void Tick()
    {
        _openStreams.Tick();
        foreach (var (_, session) in _sessions)
        {
            _ = TickAsync(session);
        }
    }

    private static async Task TickAsync(StreamableHttpSession session)
    {
        try
        {
            await session.TickAsync();
        }
        catch (OperationCanceledException)
        {
            // The session has just ended.
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused a request: {Reason}")]
    private partial void LogRefused(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while serving {Where}")]
    private partial void LogDefect(Exception exception, string where);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A session ended: {Detail}")]
    private partial void LogSessionEnded(string detail);

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
