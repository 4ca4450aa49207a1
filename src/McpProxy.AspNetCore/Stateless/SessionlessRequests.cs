using McpProxy.AspNetCore.Operations;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Stateless;

/// <summary>
/// Answers requests of the legacy era without a session, which its servers may do as well (MCP 2025-11-25, "Session Management"). What has no
/// meaning without one is answered here.
/// </summary>
internal sealed class SessionlessRequests(Serving serving)
{
    /// <summary>The version of clients that name none (MCP 2025-11-25, "Protocol Version Header").</summary>
    private const string Unnamed = "2025-03-26";

    /// <summary>Answers the messages of a POST.</summary>
    public async Task AnswerAsync(HttpContext context, List<JsonRpcMessage> messages, Accepted accepts)
    {
        var requests = messages.FindAll(message => message.Kind == JsonRpcMessageKind.Request);
        if (requests.Count == 0)
        {
            // Nothing that a client says without asking has a meaning here: nobody has asked it, and there is nothing to be remembered.
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            return;
        }

        if (requests.Count == 1 && LocalAnswer(requests[0]) is { } answer)
        {
            await HttpReply.JsonAsync(context, 200, answer.Utf8);
            return;
        }

        if (await serving.EnterAsync(context, requests[0].Id) is not { } upstream)
        {
            return;
        }

        using var scope = serving.Logger.BeginScope(new LogScope(null, requests[0]));
        var response = new EventStream(context, serving.Time, serving.Options.ContinuesInline) { AcceptsJson = accepts.Json, AcceptsEvents = accepts.Events };
        serving.OpenStreams.Add(response);
        try
        {
            var relay = serving.NewRelay(new SessionlessExchange(requests, response), upstream.ConnectWithoutSession(VersionOf(context.Request, requests[0])));
            await serving.RunAsync(relay, serving.Limiter.OwnerOf(context));
        }
        finally
        {
            serving.OpenStreams.Remove(response);
            await response.DisposeAsync();
            upstream.Leave();
        }
    }

    /// <summary>The answer to a request that means nothing without a session; null for one that is the server's to answer.</summary>
    public static JsonRpcMessage? LocalAnswer(in JsonRpcMessage request)
    {
        if (request.Is("logging/setLevel"u8))
        {
            // A level that lasted would be everybody's; the default one serves.
            return JsonSplice.Reparse((byte[])[.. "{\"jsonrpc\":\"2.0\",\"id\":"u8, .. request.Id.Utf8Text.Span, .. ",\"result\":{}}"u8]);
        }

        return request.Is("resources/subscribe"u8) || request.Is("resources/unsubscribe"u8)
            ? JsonRpcWriter.Error(request.Id, JsonRpcErrorCode.MethodNotFound, "Method not found: without a session nobody could be told of a change (--stateless)")
            : null;
    }

    private static string VersionOf(HttpRequest http, in JsonRpcMessage request)
    {
        var version = request.Is("initialize"u8)
            ? JsonMembers.AsString(JsonMembers.Find(request.Params, "protocolVersion"u8)) ?? ""
            : http.Headers[McpHeaders.ProtocolVersion].ToString();
        return ProtocolVersions.IsLegacy(version) ? version : request.Is("initialize"u8) ? ProtocolVersions.NewestLegacy : Unnamed;
    }
}
