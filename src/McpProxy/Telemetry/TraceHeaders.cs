using System.Net.Http.Headers;

namespace McpProxy.Telemetry;

/// <summary>The headers with which a trace goes on at the server (W3C Trace Context, section 3).</summary>
internal static class TraceHeaders
{
    public const string Parent = "traceparent";
    public const string State = "tracestate";

    /// <summary>Adds the headers of the message that is being sent, if it belongs to a trace.</summary>
    public static void Set(HttpRequestHeaders headers)
    {
        if (TraceContext.Outgoing is not { } context)
        {
            return;
        }

        headers.TryAddWithoutValidation(Parent, context.Parent);
        if (context.State is not null)
        {
            headers.TryAddWithoutValidation(State, context.State);
        }
    }
}
