using McpProxy.JsonRpc;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore.Responses;

/// <summary>Answers a request that goes no further, with a JSON-RPC error as its body.</summary>
internal static class HttpReply
{
    /// <summary>What is written at once: the server would copy all of a large message into buffers of its own before a client reads any of it.</summary>
    public const int Slice = 64 * 1024;

    public static Task ErrorAsync(HttpContext context, int status, JsonRpcId id, int code, string message) =>
        JsonAsync(context, status, JsonRpcWriter.ErrorUtf8(id, code, message));

    /// <summary>Without a body: clients that look for the right transport take a JSON-RPC error for an answer and stop looking.</summary>
    public static Task NotAllowedAsync(HttpContext context, string allow)
    {
        context.Response.Headers.Allow = allow;
        context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
        return Task.CompletedTask;
    }

    public static async Task JsonAsync(HttpContext context, int status, ReadOnlyMemory<byte> body)
    {
        StartJson(context.Response, status, body.Length);
        for (; body.Length > Slice; body = body[Slice..])
        {
            await context.Response.BodyWriter.WriteAsync(body[..Slice], context.RequestAborted);
        }

        await context.Response.BodyWriter.WriteAsync(body, context.RequestAborted);
    }

    /// <summary>Says what the answer is, before it is written.</summary>
    public static void StartJson(HttpResponse response, int status, int length)
    {
        response.StatusCode = status;
        response.ContentType = "application/json";
        response.ContentLength = length;
    }
}
