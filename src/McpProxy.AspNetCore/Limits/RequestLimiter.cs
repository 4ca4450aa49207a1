using McpProxy.AspNetCore.Responses;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore.Limits;

/// <summary>Lets requests in as long as their client asks for no more than it may, and answers the others.</summary>
/// <param name="limits">The limits.</param>
/// <param name="time">The clock of the rate.</param>
/// <param name="inFlight">How many requests of a client are in flight.</param>
/// <param name="logger">Where refusals are logged.</param>
internal sealed partial class RequestLimiter(RequestLimits limits, TimeProvider time, Func<string, int> inFlight, ILogger logger)
{
    private readonly RateLimiter? _rate = limits.RequestsPerSecond > 0 ? new(limits, time) : null;

    /// <summary>Whether a message comes in that is a request of a session, without anybody being asked; if not, <see cref="AdmitAsync(HttpContext, PostedMessages, int)"/> says why.</summary>
    /// <param name="inSession">How many are in flight there.</param>
    public bool AdmitsAtOnce(int inSession) =>
        _rate is null && limits.MaxRequestsPerClient <= 0 && (limits.MaxRequestsPerSession <= 0 || inSession < limits.MaxRequestsPerSession);

    /// <summary>Lets an HTTP request be read, or answers it.</summary>
    /// <returns>False when it was answered here.</returns>
    public async ValueTask<bool> AdmitAsync(HttpContext context)
    {
        if (_rate is null)
        {
            return true;
        }

        var client = ClientKey.Of(context);
        if (_rate.Read(client) is { } wait)
        {
            await RefuseAsync(context, default, "rate", $"too many requests: {limits.RequestsPerSecond:0.###} a second are allowed (--rate-limit)", wait);
            return false;
        }

        return context.Request.Method == "POST" || await AskAsync(context, client, 1, default);
    }

    /// <summary>Lets the messages of a POST in, or answers it. Answers to the server's questions always come in: it waits for them.</summary>
    /// <param name="context">The request.</param>
    /// <param name="messages">Its messages.</param>
    /// <param name="inSession">How many requests are in flight in the session that they are for.</param>
    /// <returns>False when it was answered here.</returns>
    public async ValueTask<bool> AdmitAsync(HttpContext context, PostedMessages messages, int inSession)
    {
        var (requests, chargeable) = (0, 0);
        JsonRpcId first = default;
        foreach (var message in messages)
        {
            chargeable += message.Kind == JsonRpcMessageKind.Response ? 0 : 1;
            if (message.Kind == JsonRpcMessageKind.Request)
            {
                first = requests == 0 && first.IsNone ? message.Id : first;
                requests += message.Is("subscriptions/listen"u8) ? 0 : 1;
            }
        }

        if (_rate is not null && chargeable > 0 && !await AskAsync(context, ClientKey.Of(context), chargeable, first))
        {
            return false;
        }

        if (requests > 0 && limits.MaxRequestsPerSession > 0 && inSession + requests > limits.MaxRequestsPerSession)
        {
            await RefuseAsync(
                context, first, "requests_per_session", $"too many requests are in flight in this session: {limits.MaxRequestsPerSession} are allowed (--max-requests-per-session)", TimeSpan.FromSeconds(1));
            return false;
        }

        if (requests > 0 && limits.MaxRequestsPerClient > 0 && inFlight(ClientKey.Of(context)) + requests > limits.MaxRequestsPerClient)
        {
            await RefuseAsync(
                context, first, "requests_per_client", $"too many requests of this client are in flight: {limits.MaxRequestsPerClient} are allowed (--max-requests-per-client)", TimeSpan.FromSeconds(1));
            return false;
        }

        return true;
    }

    /// <summary>Who requests are counted for; null where nothing is counted.</summary>
    public string? OwnerOf(HttpContext context) => limits.MaxRequestsPerClient > 0 ? ClientKey.Of(context) : null;

    private async ValueTask<bool> AskAsync(HttpContext context, string client, int count, JsonRpcId request)
    {
        if (_rate!.Ask(client, count) is not { } wait)
        {
            return true;
        }

        await RefuseAsync(context, request, "rate", $"too many requests: {limits.RequestsPerSecond:0.###} a second are allowed (--rate-limit)", wait);
        return false;
    }

    private Task RefuseAsync(HttpContext context, JsonRpcId request, string limit, string message, TimeSpan wait)
    {
        ProxyMeter.Refused(limit);
        LogRefused(logger, context.Request.Path, limit);
        context.Response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds)).ToString(System.Globalization.CultureInfo.InvariantCulture);
        return HttpReply.ErrorAsync(context, StatusCodes.Status429TooManyRequests, request, JsonRpcErrorCode.UpstreamUnavailable, message);
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Refused a request to {Path}: the limit {Limit} is reached")]
    private static partial void LogRefused(ILogger logger, string path, string limit);
}
