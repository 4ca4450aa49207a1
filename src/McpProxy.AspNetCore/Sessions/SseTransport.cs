using System.Collections.Concurrent;
using McpProxy.AspNetCore.Operations;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Sessions;

/// <summary>The two endpoints of HTTP+SSE (MCP 2024-11-05, "HTTP with SSE").</summary>
internal sealed partial class SseTransport(Serving serving)
{
    private static readonly ReadOnlyMemory<byte> s_accepted = "Accepted"u8.ToArray();

    private readonly ConcurrentDictionary<string, SseSession> _sessions = new(StringComparer.Ordinal);

    /// <summary>Opens an event stream, which is a session.</summary>
    public async Task OpenAsync(HttpContext context)
    {
        if (context.Request.Method != "GET")
        {
            await HttpReply.NotAllowedAsync(context, "GET");
        }
        else if (!Accepted.By(context.Request).Events)
        {
            await HttpReply.ErrorAsync(context, 406, default, JsonRpcErrorCode.InvalidRequest, "Not acceptable: accept text/event-stream");
        }
        else if (!await serving.RefuseWhileDrainingAsync(context, default) && await serving.TryOpenAsync(context, default))
        {
            try
            {
                await RunAsync(context);
            }
            finally
            {
                serving.Close();
            }
        }
    }

    /// <summary>Takes a message that is posted to a session.</summary>
    public async Task PostAsync(HttpContext context)
    {
        if (context.Request.Method != "POST")
        {
            await HttpReply.NotAllowedAsync(context, "POST");
            return;
        }

        var id = Query(context, "sessionId", "session_id");
        if (id.Length == 0)
        {
            await HttpReply.ErrorAsync(context, 400, default, JsonRpcErrorCode.InvalidRequest, "Bad request: the URL has no sessionId; post to the URL that the endpoint event names");
        }
        else if (!_sessions.TryGetValue(id, out var session) || session.Principal != Principal.Of(context))
        {
            await RefuseUnknownAsync(context);
        }
        else
        {
            using var messages = await RequestBody.ReadAsync(context, serving.Options);
            if (messages is null || !await serving.Limiter.AdmitAsync(context, messages, session.Relay?.RequestsInFlight ?? 0))
            {
                return;
            }

            if (messages.Find(message => message.Kind == JsonRpcMessageKind.Request) is { Id.IsNone: false } request && await serving.RefuseWhileDrainingAsync(context, request.Id))
            {
                return;
            }

            if (!await session.TryDeliverAsync(messages))
            {
                await RefuseUnknownAsync(context);
                return;
            }

            context.Response.StatusCode = StatusCodes.Status202Accepted;
            context.Response.ContentLength = s_accepted.Length;
            await context.Response.BodyWriter.WriteAsync(s_accepted, context.RequestAborted);
        }
    }

    private static Task RefuseUnknownAsync(HttpContext context) =>
        HttpReply.ErrorAsync(context, 404, default, JsonRpcErrorCode.SessionNotFound, "Session not found: its event stream has ended");

    private static string Query(HttpContext context, string first, string second) =>
        context.Request.Query[first] is { Count: > 0 } value ? value.ToString() : context.Request.Query[second].ToString();

    private async Task RunAsync(HttpContext context)
    {
        if (await serving.EnterAsync(context, default) is not { } upstream)
        {
            return;
        }

        using var counted = ProxyMeter.Session("sse");
        using var scope = serving.Logger.BeginScope(new LogScope(serving.NextSessionNumber()));
        LogBegan(serving.Logger);
        await using var session = new SseSession(context, Principal.Of(context), serving.Time, serving.Options.ContinuesInline);
        _sessions[session.Id] = session;
        serving.OpenStreams.Add(session.Stream);
        try
        {
            session.Relay = serving.NewRelay(session, upstream.Sessions.Connect());
            var relay = serving.RunAsync(session.Relay, serving.Limiter.OwnerOf(context));
            await session.IntroduceAsync($"{PublicPath(context)}?sessionId={session.Id}");
            var end = await relay;
            LogEnded(serving.Logger, end.End.Detail);
        }
        finally
        {
            serving.OpenStreams.Remove(session.Stream);
            _sessions.TryRemove(session.Id, out _);
            upstream.Leave();
        }
    }

    /// <summary>The path that the client has to post to: it sees what a reverse proxy in front of us shows.</summary>
    private string PublicPath(HttpContext context) =>
        serving.Options.BaseUrl is { } url
            ? (url.IsAbsoluteUri ? url.AbsolutePath : url.OriginalString).TrimEnd('/') + serving.Options.MessagesPath
            : context.Request.PathBase + serving.Options.MessagesPath;

    [LoggerMessage(Level = LogLevel.Debug, Message = "A session began (sse)")]
    private static partial void LogBegan(ILogger logger);

    [LoggerMessage(Level = LogLevel.Debug, Message = "A session ended: {Detail}")]
    private static partial void LogEnded(ILogger logger, string detail);
}
