using McpProxy.AspNetCore.Operations;
using McpProxy.Telemetry;
using Shouldly;
using Xunit;

namespace McpProxy.AspNetCore.Tests.Operations;

/// <summary>The text that Prometheus reads.</summary>
public sealed class PrometheusTextTests
{
    [Fact]
    public void Names_units_and_labels_are_written_as_the_format_has_them()
    {
        var metric = new Metric("mcp_proxy.message.io", "By", "Bytes \\ of\nmessages", MetricKind.Counter, null);
        metric.Add(3, [new("network.io.direction", "a\"b\\c\nd")]);
        Text(metric).ShouldBe(
            """
            # HELP mcp_proxy_message_io_bytes_total Bytes \\ of\nmessages
            # TYPE mcp_proxy_message_io_bytes_total counter
            mcp_proxy_message_io_bytes_total{network_io_direction="a\"b\\c\nd"} 3

            """);
    }

    [Fact]
    public void Buckets_of_a_histogram_hold_all_that_is_below()
    {
        var metric = new Metric("d", "s", null, MetricKind.Histogram, [0.1, 1]);
        metric.Add(0.05, [new("m", "x")]);
        metric.Add(0.5, [new("m", "x")]);
        metric.Add(5, [new("m", "x")]);
        Text(metric).ShouldBe(
            """
            # TYPE d_seconds histogram
            d_seconds_bucket{m="x",le="0.1"} 1
            d_seconds_bucket{m="x",le="1"} 2
            d_seconds_bucket{m="x",le="+Inf"} 3
            d_seconds_sum{m="x"} 5.55
            d_seconds_count{m="x"} 3

            """);
    }

    [Fact]
    public void What_goes_up_and_down_is_a_gauge()
    {
        var metric = new Metric("mcp_proxy.sessions", "{session}", null, MetricKind.UpDownCounter, null);
        metric.Add(1, []);
        metric.Add(-1, []);
        Text(metric).ShouldBe("# TYPE mcp_proxy_sessions gauge\nmcp_proxy_sessions 0\n");
    }

    private static string Text(params Metric[] metrics)
    {
        var text = new PrometheusText();
        text.Write(metrics);
        return text.ToString();
    }
}
