using System.Buffers;
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
    /// <returns>Null when the request was answered here.</returns>
    public static async Task<List<JsonRpcMessage>?> ReadAsync(HttpContext context, McpEndpointOptions options)
    {
        var (maxSize, maxDepth) = (options.MaxMessageSize, options.Limits.MaxJsonDepth);
        if (!IsJson(context.Request.ContentType))
        {
            await HttpReply.ErrorAsync(context, 415, default, JsonRpcErrorCode.InvalidRequest, "Unsupported media type: send Content-Type: application/json");
            return null;
        }

        var (body, status) = await ReadBytesAsync(context, maxSize);
        if (body is not { } bytes)
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
            return null;
        }

        // Nearly always there is one.
        var messages = new List<JsonRpcMessage>(1);
        if (!JsonRpcMessage.IsBatch(bytes.Span))
        {
            return await TryAddAsync(context, bytes, maxDepth, messages) ? messages : null;
        }

        if (!JsonRpcMessage.TrySplitBatch(bytes, maxDepth, out var elements, out var fault))
        {
            await HttpReply.ErrorAsync(context, 400, fault.Id, fault.Code, fault.Message);
            return null;
        }

        foreach (var element in elements)
        {
            if (!await TryAddAsync(context, element, maxDepth, messages))
            {
                return null;
            }
        }

        return messages;
    }

    private static bool IsJson(string? contentType) => contentType == "application/json"
        || (MediaTypeHeaderValue.TryParse(contentType, out var type) && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase));

    private static async Task<bool> TryAddAsync(HttpContext context, ReadOnlyMemory<byte> utf8, int maxDepth, List<JsonRpcMessage> messages)
    {
        if (JsonRpcMessage.TryParse(utf8, maxDepth, out var message, out var fault))
        {
            messages.Add(message);
            return true;
        }

        await HttpReply.ErrorAsync(context, 400, fault.IsResponse ? default : fault.Id, fault.Code, fault.Message);
        return false;
    }

    private static async Task<(ReadOnlyMemory<byte>? Body, int Status)> ReadBytesAsync(HttpContext context, int maxSize)
    {
        if (context.Request.ContentLength > maxSize)
        {
            return (null, 413);
        }

        try
        {
            var reader = context.Request.BodyReader;
            while (true)
            {
                var read = await reader.ReadAsync(context.RequestAborted);
                if (read.Buffer.Length > maxSize)
                {
                    return (null, 413);
                }

                if (read.IsCompleted)
                {
                    var body = read.Buffer.ToArray();
                    reader.AdvanceTo(read.Buffer.End);
                    return (body, 0);
                }

                reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        catch (BadHttpRequestException e)
        {
            return (null, e.StatusCode);
        }
    }
}
