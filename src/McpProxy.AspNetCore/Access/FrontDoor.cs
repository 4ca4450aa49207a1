using McpProxy.AspNetCore.Limits;
using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Access;

/// <summary>
/// What every request of a program passes, whatever path it asks for: a page that was made to look like ours (DNS rebinding) learns nothing, not even
/// which paths there are; a page of an origin that was named may read the answer.
/// </summary>
internal sealed class FrontDoor(McpEndpointOptions options, ConnectionLimits limits, TimeProvider time, ILogger logger)
{
    private readonly RequestGuard _guard = new(options);
    private readonly CrossOrigin _crossOrigin = new(options);
    private readonly FailureLog _failures = new(time, logger);

    /// <summary>Puts it in front of the rest of a program.</summary>
    public RequestDelegate Before(RequestDelegate next) => context => InvokeAsync(context, next);

    private Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (_guard.Refusal(context) is { } refusal)
        {
            _failures.Add(context.Connection.RemoteIpAddress?.ToString() ?? "somebody", "Host and Origin", refusal);
            return HttpReply.ErrorAsync(context, StatusCodes.Status403Forbidden, default, JsonRpcErrorCode.InvalidRequest, $"Forbidden: {refusal}");
        }

        if (limits.Refusal(context.Request.Headers) is { } tooMany)
        {
            return HttpReply.ErrorAsync(context, StatusCodes.Status431RequestHeaderFieldsTooLarge, default, JsonRpcErrorCode.InvalidRequest, tooMany);
        }

        return _crossOrigin.Apply(context) ? Task.CompletedTask : next(context);
    }
}
