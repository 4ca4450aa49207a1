using System.Diagnostics;
using McpProxy.Telemetry.Otlp;
using Shouldly;
using Xunit;

namespace McpProxy.Tests.Telemetry;

/// <summary>OpenTelemetry's environment variables.</summary>
public sealed class OtlpSettingsTests
{
    [Fact]
    public void Nothing_is_sent_unless_asked_for()
    {
        Settings().ShouldBeNull();
        Settings(("OTEL_SERVICE_NAME", "x")).ShouldBeNull();
        Settings(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")).ShouldBeNull();
    }

    [Theory]
    [InlineData("http://c:4318", "http://c:4318/v1/traces")]
    [InlineData("http://c:4318/", "http://c:4318/v1/traces")]
    [InlineData("https://c/otlp", "https://c/otlp/v1/traces")]
    public void The_variable_for_all_is_a_base(string endpoint, string traces)
    {
        var settings = Settings(("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)).ShouldNotBeNull();
        settings.Traces!.Url.ToString().ShouldBe(traces);
        settings.Metrics!.Url.AbsolutePath.ShouldEndWith("/v1/metrics");
    }

    [Fact]
    public void The_variable_for_one_is_the_whole_address()
    {
        var settings = Settings(("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:1/x"), ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "k=a%20b, K2 = v=w")).ShouldNotBeNull();
        settings.Traces!.Url.ToString().ShouldBe("http://c:1/x");
        settings.Traces.Headers.ShouldBe([new("k", "a b"), new("K2", "v=w")]);
        settings.Metrics.ShouldBeNull();
    }

    [Theory]
    [InlineData("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317", "URL")]
    [InlineData("OTEL_TRACES_SAMPLER", "sometimes", "sometimes")]
    [InlineData("OTEL_BSP_SCHEDULE_DELAY", "soon", "milliseconds")]
    [InlineData("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "NAME=VALUE")]
    public void What_cannot_be_done_is_said(string variable, string value, string said)
    {
        var problems = Settings(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), (variable, value)).ShouldNotBeNull().Problems;
        problems.ShouldContain(problem => problem.Contains(said, StringComparison.Ordinal));
        problems.ShouldNotContain(problem => problem.Contains("hunter2", StringComparison.Ordinal));
    }

    [Fact]
    public void The_service_has_a_name()
    {
        Attribute("service.name").ShouldBe("mcp-proxy");
        Attribute("service.name", ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment=test")).ShouldBe("a");
        Attribute("deployment.environment", ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment=test")).ShouldBe("test");
        Attribute("service.name", ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"), ("OTEL_SERVICE_NAME", "b")).ShouldBe("b");

        static string Attribute(string name, params (string Name, string Value)[] variables) =>
            Settings([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), .. variables])!.Resource.Attributes.Single(pair => pair.Key == name).Value;
    }

    [Theory]
    [InlineData(null, null, true, true, false)]
    [InlineData("always_on", null, true, true, true)]
    [InlineData("always_off", null, false, false, false)]
    [InlineData("parentbased_always_off", null, false, true, false)]
    [InlineData("traceidratio", "0", false, false, false)]
    [InlineData("parentbased_traceidratio", "1", true, true, false)]
    public void Samplers_decide_as_their_names_say(string? name, string? argument, bool root, bool sampledParent, bool unsampledParent)
    {
        var sampler = TraceSampler.Of(name, argument, out var problem);
        problem.ShouldBeNull();
        Sampled(sampler, default).ShouldBe(root);
        Sampled(sampler, Context(ActivityTraceFlags.Recorded)).ShouldBe(sampledParent);
        Sampled(sampler, Context(ActivityTraceFlags.None)).ShouldBe(unsampledParent);
    }

    [Fact]
    public void A_ratio_takes_about_that_share_and_the_same_traces_everywhere()
    {
        var sampler = TraceSampler.Of("traceidratio", "0.25", out _);
        var contexts = Enumerable.Range(0, 4000).Select(_ => Context(ActivityTraceFlags.None)).ToList();
        var sampled = contexts.Where(context => Sampled(sampler, context)).ToList();
        sampled.Count.ShouldBeInRange(800, 1200);
        sampled.ShouldAllBe(context => Sampled(sampler, context));
    }

    private static ActivityContext Context(ActivityTraceFlags flags) => new(ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), flags, isRemote: true);

    private static bool Sampled(TraceSampler sampler, ActivityContext parent)
    {
        using var source = new ActivitySource("sampler test");
        using var listener = new ActivityListener { ShouldListenTo = s => s == source, Sample = sampler.Sample };
        ActivitySource.AddActivityListener(listener);
        using var activity = source.StartActivity("x", ActivityKind.Server, parent);
        return activity is { Recorded: true };
    }

    private static OtlpSettings? Settings(params (string Name, string Value)[] variables) =>
        OtlpSettings.Of(name => variables.LastOrDefault(variable => variable.Name == name).Value);
}
