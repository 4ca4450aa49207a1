using McpProxy.Telemetry;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Telemetry;

/// <summary>How measurements add up.</summary>
public sealed class MetricTests
{
    [Fact]
    public void Measurements_with_the_same_attributes_are_one_series()
    {
        var metric = new Metric("m", null, null, MetricKind.Counter, null);
        metric.Add(1, [new("a", "x"), new("b", "y")]);
        metric.Add(2, [new("a", "x"), new("b", "y")]);
        metric.Add(5, [new("a", "y"), new("b", "x")]);
        metric.Add(7, []);
        metric.Series.Select(series => (string.Join(',', series.Tags.Select(tag => $"{tag.Key}={tag.Value}")), series.Read().Sum))
            .ShouldBe([("a=x,b=y", 3), ("a=y,b=x", 5), ("", 7)], ignoreOrder: true);
    }

    [Fact]
    public void A_value_on_a_boundary_belongs_to_the_bucket_below()
    {
        var metric = new Metric("m", "s", null, MetricKind.Histogram, [1, 2]);
        foreach (var value in new[] { 0.5, 1, 1.5, 2, 3 })
        {
            metric.Add(value, []);
        }

        var (count, sum, buckets) = metric.Series.Single().Read();
        count.ShouldBe(5);
        sum.ShouldBe(8);
        buckets.ShouldBe([2, 2, 1]);
    }

    [Fact]
    public void Attributes_without_bound_end_in_one_series()
    {
        var metric = new Metric("m", null, null, MetricKind.Counter, null);
        for (var i = 0; i < 5000; i++)
        {
            metric.Add(1, [new("a", $"value {i}")]);
        }

        metric.Series.Count().ShouldBe(1001);
        metric.Series.Sum(series => series.Read().Sum).ShouldBe(5000);
        metric.Series.Last().Tags.ShouldHaveSingleItem().Key.ShouldBe("otel.metric.overflow");
    }

    [Fact]
    public async Task Nothing_is_lost_when_many_measure_at_once()
    {
        var metric = new Metric("m", null, null, MetricKind.Counter, null);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (var i = 0; i < 20_000; i++)
            {
                metric.Add(1, [new("a", i % 2 == 0 ? "even" : "odd")]);
            }
        })));
        metric.Series.Select(series => series.Read().Sum).ShouldBe([40_000, 40_000]);
    }

    [Theory]
    [InlineData((int)MetricKind.Counter, 30)]
    [InlineData((int)MetricKind.UpDownCounter, 130)]
    public void Of_a_counter_that_is_kept_elsewhere_what_was_before_does_not_count(int kind, double sum)
    {
        var metric = new Metric("m", null, null, (MetricKind)kind, null);
        metric.Observe(100, [new("a", "b")], isFirst: true);
        metric.Observe(110, [new("a", "b")], isFirst: false);
        metric.Observe(130, [new("a", "b")], isFirst: false);

        metric.Series.Single().Read().Sum.ShouldBe(sum);
    }

    [Fact]
    public void Bytes_and_streams_are_there_for_whoever_looks()
    {
        using var collector = new MetricCollector();
        ProxyMeter.Received(MessageSide.Upstream, 70);
        ProxyMeter.Stream(1);
        Sum("mcp_proxy.message.io", "upstream", "receive").ShouldBeGreaterThanOrEqualTo(70);
        Sum("mcp_proxy.streams").ShouldBeGreaterThanOrEqualTo(1);
        ProxyMeter.Stream(-1);

        // Other tests relay messages meanwhile.
        double Sum(string name, params string[] values) =>
            collector.Metrics.Single(metric => metric.Name == name).Series.Single(series => series.Tags.Select(tag => tag.Value).SequenceEqual(values)).Read().Sum;
    }

    [Fact]
    public void Measuring_does_not_allocate()
    {
        using var collector = new MetricCollector();
        Measure();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++)
        {
            Measure();
        }

        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBe(0);

        static void Measure()
        {
            ProxyMeter.Request(McpMethodName.Of("tools/call"u8), RequestOutcome.Ok);
            ProxyMeter.ServerOperation("tools/call", "-32603", TimeSpan.FromMilliseconds(3));
            ProxyMeter.Received(MessageSide.Downstream, 100);
            ProxyMeter.Refused("rate");
        }
    }

    [Theory]
    [InlineData("tools/call", "tools/call")]
    [InlineData("server/discover", "server/discover")]
    [InlineData("tools/calls", "other")]
    [InlineData("", "other")]
    [InlineData("TOOLS/CALL", "other")]
    public void Methods_that_nobody_knows_count_as_one(string method, string name) =>
        McpMethodName.Of(System.Text.Encoding.UTF8.GetBytes(method)).ShouldBe(name);
}
