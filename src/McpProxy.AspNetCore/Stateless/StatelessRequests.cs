using McpProxy.AspNetCore.Operations;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Transports;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Stateless;

/// <summary>Answers requests of the modern era, each of which stands for itself (MCP 2026-07-28, "Streamable HTTP").</summary>
internal sealed class StatelessRequests(Serving serving)
{
    /// <summary>Answers the messages of a POST.</summary>
    public async Task AnswerAsync(HttpContext context, List<JsonRpcMessage> messages, Accepted accepts)
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

        if (await serving.EnterAsync(context, message.Id) is not { } upstream)
        {
            return;
        }

        try
        {
            // Of the server that this client uses: with another environment it may have other tools.
            var requests = upstream.RequestsOf(Principal.Of(context));
            var validator = new StatelessValidator(requests, upstream.Tools, serving.Time);
            if (await validator.ProblemAsync(context.Request, message, context.RequestAborted) is { } problem)
            {
                await HttpReply.JsonAsync(context, 400, JsonRpcWriter.ErrorUtf8(message.Id, problem.Code, problem.Message, problem.Data));
                return;
            }

            await RelayAsync(context, message, accepts, requests, upstream.Tools);
        }
        finally
        {
            upstream.Leave();
        }
    }

    private async Task RelayAsync(HttpContext context, JsonRpcMessage message, Accepted accepts, IUpstream upstream, ToolHeaderCatalog tools)
    {
        using var scope = serving.Logger.BeginScope(new LogScope(null, message));
        var response = new EventStream(context, serving.Time, serving.Options.ContinuesInline) { AcceptsJson = accepts.Json, AcceptsEvents = accepts.Events };
        serving.OpenStreams.Add(response);
        try
        {
            var relay = serving.NewRelay(new StatelessExchange(message, response, tools), upstream.Connect());
            await serving.RunAsync(relay, message.Is("subscriptions/listen"u8) ? null : serving.Limiter.OwnerOf(context));
        }
        finally
        {
            serving.OpenStreams.Remove(response);
            await response.DisposeAsync();
        }
    }
}
