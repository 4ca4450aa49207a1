namespace McpProxy.Telemetry.Otlp;

/// <summary>Measurements as OTLP has them (opentelemetry-proto, <c>metrics/v1/metrics.proto</c>), cumulative.</summary>
internal static class OtlpMetrics
{
    private const int Cumulative = 2;

    public static ReadOnlyMemory<byte> Encode(OtlpResource resource, MetricCollector collector, DateTimeOffset now) => resource.Request(scoped =>
    {
        foreach (var metric in collector.Metrics.Where(metric => metric.Series.Any()))
        {
            scoped.Message(2, message => Write(message, metric, OtlpResource.Nanoseconds(collector.Started), OtlpResource.Nanoseconds(now)));
        }
    });

    private static void Write(ProtobufWriter message, Metric metric, ulong start, ulong now)
    {
        message.Text(1, metric.Name);
        message.Text(2, metric.Description);
        message.Text(3, metric.Unit);
        message.Message(metric.Kind == MetricKind.Histogram ? 9 : 7, data =>
        {
            foreach (var series in metric.Series)
            {
                data.Message(1, point => WritePoint(point, metric, series, start, now));
            }

            data.Integer(2, Cumulative);
            if (metric.Kind == MetricKind.Counter)
            {
                data.Integer(3, 1);
            }
        });
    }

    private static void WritePoint(ProtobufWriter point, Metric metric, MetricSeries series, ulong start, ulong now)
    {
        var (count, sum, buckets) = series.Read();
        point.Fixed64(2, start);
        point.Fixed64(3, now);
        if (buckets is null)
        {
            point.Fixed64(6, (ulong)(long)sum);
        }
        else
        {
            point.Fixed64(4, (ulong)count);
            point.Double(5, sum);
            point.Packed(6, [.. buckets.Select(bucket => (ulong)bucket)]);
            point.Packed(7, [.. metric.Boundaries!.Select(BitConverter.DoubleToUInt64Bits)]);
        }

        foreach (var (key, value) in series.Tags)
        {
            point.Attribute(buckets is null ? 7 : 9, key, value);
        }
    }
}
