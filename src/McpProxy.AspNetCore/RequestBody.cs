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
    public static ValueTask<PostedMessages?> ReadAsync(HttpContext context, McpEndpointOptions options)
    {
        PostedMessages? messages = new();
        try
        {
            return TryTakeWhole(context.Request, messages, options) && IsOne(messages, options.Limits.MaxJsonDepth)
                ? new(Kept(ref messages))
                : ReadInStepsAsync(context, Kept(ref messages)!, options);
        }
        finally
        {
            messages?.Dispose();
        }
    }

    /// <summary>Whether a body is said to be JSON.</summary>
    public static bool IsJson(string? contentType) => contentType is "application/json" or "application/json; charset=utf-8"
        || (MediaTypeHeaderValue.TryParse(contentType, out var type) && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase));

    /// <summary>The usual request has come with its body, which is one message: that needs no waiting, and none of what it takes to wait.</summary>
    private static bool TryTakeWhole(HttpRequest request, PostedMessages messages, McpEndpointOptions options)
    {
        if (!IsJson(request.ContentType) || request.ContentLength is not { } length || length > options.MaxMessageSize)
        {
            return false;
        }

        try
        {
            var reader = request.BodyReader;
            if (!reader.TryRead(out var read))
            {
                return false;
            }

            if (!read.IsCompleted)
            {
                // Neither taken nor looked at: it is there again for whoever waits for the rest.
                reader.AdvanceTo(read.Buffer.Start);
                return false;
            }

            messages.Expect((int)length);
            messages.Append(read.Buffer, options.MaxMessageSize);
            reader.AdvanceTo(read.Buffer.End);
            return true;
        }
        catch (BadHttpRequestException)
        {
            // It is thrown again where it is answered.
            return false;
        }
    }

    private static bool IsOne(PostedMessages messages, int maxDepth)
    {
        if (JsonRpcMessage.IsBatch(messages.Utf8.Span) || !JsonRpcMessage.TryParse(messages.Utf8, maxDepth, out var message, out _))
        {
            return false;
        }

        messages.Add(message);
        return true;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<PostedMessages?> ReadInStepsAsync(HttpContext context, PostedMessages read, McpEndpointOptions options)
    {
        var messages = read;
        try
        {
            if (!IsJson(context.Request.ContentType))
            {
                await HttpReply.ErrorAsync(context, 415, default, JsonRpcErrorCode.InvalidRequest, "Unsupported media type: send Content-Type: application/json");
                return null;
            }

            return await ReadAsync(context, messages, options.MaxMessageSize, options.Limits.MaxJsonDepth) ? Kept(ref messages) : null;
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

            if (messages.Length == length)
            {
                return 0;
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
