using McpProxy.AspNetCore.Operations;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Transports.StreamableHttp;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Stateless;

/// <summary>Answers requests of the modern era, each of which stands for itself (MCP 2026-07-28, "Streamable HTTP").</summary>
internal sealed class StatelessRequests
{
    private readonly Serving _serving;
    private readonly ToolHeaderCatalog _tools;
    private readonly StatelessValidator _validator;

    public StatelessRequests(Serving serving)
    {
        _serving = serving;
        _tools = new(serving.Logger);
        _validator = new(serving.Upstreams.Common.Requests, _tools, serving.Time);
    }

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

        if (await _validator.ProblemAsync(context.Request, message, context.RequestAborted) is { } problem)
        {
            await HttpReply.JsonAsync(context, 400, JsonRpcWriter.ErrorUtf8(message.Id, problem.Code, problem.Message, problem.Data));
            return;
        }

        if (await _serving.EnterAsync(context, message.Id) is not { } upstream)
        {
            return;
        }

        using var scope = _serving.Logger.BeginScope(new LogScope(null, message));
        var response = new EventStream(context, _serving.Time) { AcceptsJson = accepts.Json, AcceptsEvents = accepts.Events };
        _serving.OpenStreams.Add(response);
        try
        {
            var relay = _serving.NewRelay(new StatelessExchange(message, response, _tools), upstream.Requests.Connect());
            await _serving.RunAsync(relay, message.Is("subscriptions/listen"u8) ? null : _serving.Limiter.OwnerOf(context));
        }
        finally
        {
            _serving.OpenStreams.Remove(response);
            await response.DisposeAsync();
            upstream.Leave();
        }
    }
}
