using System.Diagnostics;

namespace McpProxy.Telemetry.Otlp;

/// <summary>Spans as OTLP has them (opentelemetry-proto, <c>trace/v1/trace.proto</c>).</summary>
internal static class OtlpTraces
{
    private const int StatusError = 2;

    public static ReadOnlyMemory<byte> Encode(OtlpResource resource, IEnumerable<Activity> activities) => resource.Request(scoped =>
    {
        foreach (var activity in activities)
        {
            scoped.Message(2, span => Write(span, activity));
        }
    });

    private static void Write(ProtobufWriter span, Activity activity)
    {
        Span<byte> id = stackalloc byte[16];
        activity.TraceId.CopyTo(id);
        span.Bytes(1, id);
        activity.SpanId.CopyTo(id[..8]);
        span.Bytes(2, id[..8]);
        span.Text(3, activity.TraceStateString);
        if (activity.ParentSpanId != default)
        {
            activity.ParentSpanId.CopyTo(id[..8]);
            span.Bytes(4, id[..8]);
        }

        span.Text(5, activity.DisplayName);
        span.Integer(6, activity.Kind switch { ActivityKind.Server => 2, ActivityKind.Client => 3, _ => 1 });
        var started = new DateTimeOffset(activity.StartTimeUtc);
        span.Fixed64(7, OtlpResource.Nanoseconds(started));
        span.Fixed64(8, OtlpResource.Nanoseconds(started + activity.Duration));
        foreach (var (key, value) in activity.TagObjects)
        {
            span.Attribute(9, key, value);
        }

        if (activity.Status == ActivityStatusCode.Error)
        {
            span.Message(15, status =>
            {
                status.Text(2, activity.StatusDescription);
                status.Integer(3, StatusError);
            });
        }
    }
}
