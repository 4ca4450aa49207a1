using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Operations;

/// <summary>One line for each HTTP request, at debug level: nothing of its headers, its query or its body.</summary>
internal sealed partial class AccessLog(ILogger logger, TimeProvider time)
{
    public Task InvokeAsync(HttpContext context, RequestDelegate next) => logger.IsEnabled(LogLevel.Debug) ? LoggedAsync(context, next) : next(context);

    private async Task LoggedAsync(HttpContext context, RequestDelegate next)
    {
        var started = time.GetTimestamp();
        var method = context.Request.Method;

        // Escaped as it was sent: a line break in a path must not begin a line of its own.
        var path = context.Request.Path.ToUriComponent();
        var body = new CountedResponseBody(context.Features.GetRequiredFeature<IHttpResponseBodyFeature>());
        context.Features.Set<IHttpResponseBodyFeature>(body);
        try
        {
            await next(context);
        }
        finally
        {
            var outcome = context.RequestAborted.IsCancellationRequested ? " (the client was gone)" : "";
            LogRequest(method, path, context.Response.StatusCode, (long)time.GetElapsedTime(started).TotalMilliseconds, body.Count, context.Connection.RemoteIpAddress?.ToString() ?? "unknown", outcome);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "{HttpMethod} {Path} {Status} {Milliseconds} ms {Bytes} bytes, from {Client}{Outcome}")]
    private partial void LogRequest(string httpMethod, string path, int status, long milliseconds, long bytes, string client, string outcome);
}
