using McpProxy.JsonRpc;
using Microsoft.AspNetCore.Http;

namespace McpProxy.AspNetCore;

/// <summary>Answers a request that goes no further, with a JSON-RPC error as its body.</summary>
internal static class HttpReply
{
    public static Task ErrorAsync(HttpContext context, int status, JsonRpcId id, int code, string message) =>
        JsonAsync(context, status, JsonRpcWriter.ErrorUtf8(id, code, message));

    public static async Task JsonAsync(HttpContext context, int status, ReadOnlyMemory<byte> body)
    {
        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = "application/json";
        response.ContentLength = body.Length;
        await response.BodyWriter.WriteAsync(body, context.RequestAborted);
    }
}
