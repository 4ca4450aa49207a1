using System.Runtime.CompilerServices;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace McpProxy.AspNetCore;

/// <summary>Reads the messages of a POST, or answers why they cannot be read.</summary>
internal static class RequestBody
{
    /// <summary>Reads the messages: one, or those of a batch.</summary>
    /// <returns>Null when the request was answered here; else to be disposed of.</returns>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public static async ValueTask<PostedMessages?> ReadAsync(HttpContext context, McpEndpointOptions options)
    {
        var (maxSize, maxDepth) = (options.MaxMessageSize, options.Limits.MaxJsonDepth);
        if (!IsJson(context.Request.ContentType))
        {
            await HttpReply.ErrorAsync(context, 415, default, JsonRpcErrorCode.InvalidRequest, "Unsupported media type: send Content-Type: application/json");
            return null;
        }

        PostedMessages? messages = new();
        try
        {
            return await ReadAsync(context, messages, maxSize, maxDepth) ? Kept(ref messages) : null;
        }
        finally
        {
            messages?.Dispose();
        }
    }

    private static PostedMessages? Kept(ref PostedMessages? messages)
    {
        var kept = messages;
        messages = null;
        return kept;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<bool> ReadAsync(HttpContext context, PostedMessages messages, int maxSize, int maxDepth)
    {
        if (await FillAsync(context, messages, maxSize) is > 0 and var status)
        {
            if (status is 408 or 413)
            {
                ProxyMeter.Refused(status == 413 ? "message_size" : "body_timeout");
            }

            await HttpReply.ErrorAsync(context, status, default, JsonRpcErrorCode.InvalidRequest, status switch
            {
                408 => "The request body did not arrive in time (--client-body-timeout)",
                413 => $"The message is longer than {maxSize} bytes (--max-message-size)",
                _ => "The request body could not be read",
            });
            return false;
        }

        var bytes = messages.Utf8;
        if (!JsonRpcMessage.IsBatch(bytes.Span))
        {
            return await TryAddAsync(context, bytes, maxDepth, messages);
        }

        if (!JsonRpcMessage.TrySplitBatch(bytes, maxDepth, out var elements, out var fault))
        {
            await HttpReply.ErrorAsync(context, 400, fault.Id, fault.Code, fault.Message);
            return false;
        }

        foreach (var element in elements)
        {
            if (!await TryAddAsync(context, element, maxDepth, messages))
            {
                return false;
            }
        }

        return true;
    }

    private static bool IsJson(string? contentType) => contentType == "application/json"
        || (MediaTypeHeaderValue.TryParse(contentType, out var type) && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase));

    private static async Task<bool> TryAddAsync(HttpContext context, ReadOnlyMemory<byte> utf8, int maxDepth, PostedMessages messages)
    {
        if (JsonRpcMessage.TryParse(utf8, maxDepth, out var message, out var fault))
        {
            messages.Add(message);
            return true;
        }

        await HttpReply.ErrorAsync(context, 400, fault.IsResponse ? default : fault.Id, fault.Code, fault.Message);
        return false;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<int> FillAsync(HttpContext context, PostedMessages messages, int maxSize)
    {
        if (context.Request.ContentLength is { } length)
        {
            if (length > maxSize)
            {
                return 413;
            }

            messages.Expect((int)length);
        }

        try
        {
            var reader = context.Request.BodyReader;
            while (true)
            {
                var read = await reader.ReadAsync(context.RequestAborted);
                if (messages.Length + read.Buffer.Length > maxSize)
                {
                    return 413;
                }

                // Taken as it comes: the server would otherwise hold all of it in buffers of its own.
                messages.Append(read.Buffer, maxSize);
                reader.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                {
                    return 0;
                }
            }
        }
        catch (BadHttpRequestException e)
        {
            return e.StatusCode;
        }
    }
}
