using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using McpProxy.AspNetCore.Connections.Usual;
using McpProxy.AspNetCore.Operations;
using McpProxy.AspNetCore.Responses;
using McpProxy.AspNetCore.Stateless;
using McpProxy.AspNetCore.Upstreams;
using McpProxy.Eras;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Sessions;

/// <summary>The Streamable HTTP endpoint: tells requests of the two eras apart, and finds or opens the session of a legacy one (MCP 2025-11-25, "Session Management").</summary>
internal sealed partial class StreamableHttpTransport
{
    private readonly Serving _serving;
    private readonly StatelessRequests _stateless;
    private readonly SessionlessRequests? _sessionless;
    private readonly bool _hasSessions;
    private readonly ConcurrentDictionary<string, StreamableHttpSession> _sessions = new(StringComparer.Ordinal);

    public StreamableHttpTransport(Serving serving)
    {
        _serving = serving;
        _stateless = new(serving);
        _sessionless = serving.Options.SessionMode == SessionMode.Stateless ? new(serving) : null;
        _hasSessions = _sessionless is null && serving.Options.Bridge is not { Downstream: EraChoice.Modern };
        serving.Ticked += Tick;
    }

    /// <summary>Answers a request to the endpoint.</summary>
    public Task HandleAsync(HttpContext context) => context.Request.Method switch
    {
        "POST" => PostAsync(context),
        "GET" when _hasSessions => GetAsync(context),
        "DELETE" when _hasSessions => DeleteAsync(context),
        _ => HttpReply.NotAllowedAsync(context, _hasSessions ? "GET, POST, DELETE" : "POST"),
    };

    /// <summary>
    /// Answers the usual request: one message of a session that goes on, with its body there, and nobody to be asked. Whatever is unusual about it is left as it is for
    /// <see cref="HandleAsync"/>, which knows all there is.
    /// </summary>
    /// <param name="context">The request.</param>
    /// <param name="answered">Completes when it was answered, and never fails.</param>
    public bool TryAnswer(HttpContext context, [NotNullWhen(true)] out Task? answered)
    {
        answered = null;
        var request = context.Request;
        if (!_hasSessions || _serving.IsDraining || _serving.NamesRequestsInLogs
            || request.BodyReader is not UsualBody { IsWhole: true } body || body.Rest.Length > _serving.Options.MaxMessageSize || !RequestBody.IsJson(request.ContentType) || !Accepted.By(request).IsUsual
            || !_sessions.TryGetValue(request.Headers[McpHeaders.SessionId].ToString(), out var session) || session.Principal != Principal.Of(context)
            || !session.AcceptsVersion(request.Headers[McpHeaders.ProtocolVersion].ToString()) || !_serving.Limiter.AdmitsAtOnce(session.Relay?.RequestsInFlight ?? 0))
        {
            return false;
        }

        return JsonRpcMessage.TryParse(body.Rest, _serving.Options.Limits.MaxJsonDepth, out var message, out _)
            && message.Kind == JsonRpcMessageKind.Request && !message.Is("initialize"u8) && !message.Is("subscriptions/listen"u8) && !message.IsModern()
            && session.TryAnswer(context, message, body, out answered);
    }

    private async Task PostAsync(HttpContext context)
    {
        var accepts = Accepted.By(context.Request);
        if (!accepts.Json && !accepts.Events)
        {
            await HttpReply.ErrorAsync(context, 406, default, JsonRpcErrorCode.InvalidRequest, "Not acceptable: accept application/json, text/event-stream or both");
            return;
        }

        var sessionId = context.Request.Headers[McpHeaders.SessionId].ToString();
        using var messages = await RequestBody.ReadAsync(context, _serving.Options);
        if (messages is null
            || !await _serving.Limiter.AdmitAsync(context, messages, _sessions.GetValueOrDefault(sessionId)?.Relay?.RequestsInFlight ?? 0))
        {
            return;
        }

        var first = messages[0];
        var requestId = first.Kind == JsonRpcMessageKind.Request ? first.Id : default;
        var hasRequests = messages.Exists(static message => message.Kind == JsonRpcMessageKind.Request);
        if (hasRequests && await _serving.RefuseWhileDrainingAsync(context, requestId))
        {
            return;
        }

        // A subscription is answered when somebody ends it; waiting for that would be waiting for ever.
        using var answering = hasRequests && !first.Is("subscriptions/listen"u8) ? _serving.Requests.Enter() : default;
        var version = context.Request.Headers[McpHeaders.ProtocolVersion].ToString();
        if (first.Kind != JsonRpcMessageKind.Response && (first.IsModern() || (version.Length > 0 && !ProtocolVersions.IsLegacy(version) && sessionId.Length == 0)))
        {
            await _stateless.AnswerAsync(context, messages, accepts);
        }
        else if (_sessionless is not null)
        {
            await _sessionless.AnswerAsync(context, messages, accepts);
        }
        else if (first.Kind == JsonRpcMessageKind.Request && first.Is("initialize"u8))
        {
            await OpenAsync(context, messages, accepts);
        }
        else if (await FindAsync(context, sessionId, version, requestId) is { } session)
        {
            using var scope = _serving.NamesRequestsInLogs ? _serving.Logger.BeginScope(new LogScope(session.Number, first)) : null;
            await session.PostAsync(context, messages, accepts);
        }
    }

    private async Task GetAsync(HttpContext context)
    {
        if (!Accepted.By(context.Request).Events)
        {
            await HttpReply.ErrorAsync(context, 406, default, JsonRpcErrorCode.InvalidRequest, "Not acceptable: a GET opens an event stream; accept text/event-stream");
        }
        else if (!await _serving.RefuseWhileDrainingAsync(context, default)
            && await FindAsync(context) is { } session)
        {
            await session.GetAsync(context);
        }
    }

    private async Task DeleteAsync(HttpContext context)
    {
        if (await FindAsync(context) is { } session)
        {
            _sessions.TryRemove(session.Id, out _);
            session.End("deleted by the client");
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }
    }

    private ValueTask<StreamableHttpSession?> FindAsync(HttpContext context) =>
        FindAsync(context, context.Request.Headers[McpHeaders.SessionId].ToString(), context.Request.Headers[McpHeaders.ProtocolVersion].ToString(), default);

    private ValueTask<StreamableHttpSession?> FindAsync(HttpContext context, string id, string version, JsonRpcId request)
    {
        if (id.Length == 0)
        {
            return RefusedAsync(context, request, 400, JsonRpcErrorCode.UpstreamUnavailable, "Bad request: no Mcp-Session-Id header; a session starts with an initialize request");
        }

        // To everybody but its owner a session does not exist: knowing an id must not be of any use.
        if (!_sessions.TryGetValue(id, out var session) || session.Principal != Principal.Of(context))
        {
            return RefusedAsync(context, request, 404, JsonRpcErrorCode.SessionNotFound, "Session not found: it has ended or never existed; initialize again");
        }

        return session.AcceptsVersion(version)
            ? ValueTask.FromResult<StreamableHttpSession?>(session)
            : RefusedAsync(context, request, 400, JsonRpcErrorCode.UpstreamUnavailable, $"Bad request: unsupported MCP-Protocol-Version \"{version}\"");
    }

    private static async ValueTask<StreamableHttpSession?> RefusedAsync(HttpContext context, JsonRpcId request, int status, int code, string reason)
    {
        await HttpReply.ErrorAsync(context, status, request, code, reason);
        return null;
    }

    private async Task OpenAsync(HttpContext context, PostedMessages messages, Accepted accepts)
    {
        var id = messages[0].Id;
        if (messages.Count > 1)
        {
            await HttpReply.ErrorAsync(context, 400, id, JsonRpcErrorCode.InvalidRequest, "Invalid request: initialize must not be part of a batch");
        }
        else if (await _serving.TryOpenAsync(context, id))
        {
            if (await _serving.EnterAsync(context, id) is { } upstream)
            {
                var session = new StreamableHttpSession(_serving, Principal.Of(context));
                _sessions[session.Id] = session;
                session.Running = RunAsync(session, upstream, _serving.Limiter.OwnerOf(context));
                using var scope = _serving.Logger.BeginScope(new LogScope(session.Number, messages[0]));
                await session.PostAsync(context, messages, accepts);
            }
            else
            {
                _serving.Close();
            }
        }
    }

    private async Task RunAsync(StreamableHttpSession session, ServedUpstream upstream, string? client)
    {
        using var counted = ProxyMeter.Session("streamable-http");
        using var scope = _serving.Logger.BeginScope(new LogScope(session.Number));
        try
        {
            LogBegan(_serving.Logger);
            session.Relay = _serving.NewRelay(session, upstream.Sessions.Connect());
            var end = await _serving.RunAsync(session.Relay, client);
            LogEnded(_serving.Logger, end.End.Detail);
            session.EndDetail = end.End.Detail;
        }
        catch (Exception e)
        {
            LogDefect(_serving.Logger, e);
            session.End("the proxy failed");
        }
        finally
        {
            _sessions.TryRemove(session.Id, out _);
            _serving.Close();
            upstream.Leave();
        }
    }

    private void Tick()
    {
        foreach (var (_, session) in _sessions)
        {
            // Mostly there is nothing to wait for, in any of thousands of sessions.
            if (session.TickAsync() is { IsCompletedSuccessfully: false } ticking)
            {
                _ = TickedAsync(ticking);
            }
        }
    }

    private static async Task TickedAsync(Task ticking)
    {
        try
        {
            await ticking;
        }
        catch (OperationCanceledException)
        {
            // The session has just ended.
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A session began (streamable-http)")]
    private static partial void LogBegan(ILogger logger);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A session ended: {Detail}")]
    private static partial void LogEnded(ILogger logger, string detail);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while serving a session")]
    private static partial void LogDefect(ILogger logger, Exception exception);
}
