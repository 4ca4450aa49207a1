using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;

namespace McpProxy.Telemetry.Otlp;

/// <summary>Which requests are traced: the samplers that OpenTelemetry gives names to (<c>OTEL_TRACES_SAMPLER</c>).</summary>
/// <param name="IsParentBased">Whether who sent the request decides, if it said so.</param>
/// <param name="Ratio">The share of the others that is traced.</param>
internal sealed record TraceSampler(bool IsParentBased, double Ratio)
{
    /// <summary>A sampler by its name, or the usual one.</summary>
    /// <param name="name">The name.</param>
    /// <param name="argument">What the name needs besides.</param>
    /// <param name="problem">What is wrong with them.</param>
    public static TraceSampler Of(string? name, string? argument, out string? problem)
    {
        var ratio = 1.0;
        problem = null;
        if (name is "traceidratio" or "parentbased_traceidratio" && argument is not null
            && !(double.TryParse(argument, NumberStyles.Float, CultureInfo.InvariantCulture, out ratio) && ratio is >= 0 and <= 1))
        {
            problem = $"OTEL_TRACES_SAMPLER_ARG takes a number from 0 to 1, not \"{argument}\": everything is traced";
            ratio = 1;
        }

        switch (name)
        {
            case "always_on" or "traceidratio":
                return new(false, ratio);
            case "always_off":
                return new(false, 0);
            case "parentbased_always_off":
                return new(true, 0);
            case null or "" or "parentbased_always_on" or "parentbased_traceidratio":
                return new(true, ratio);
            default:
                problem = $"OTEL_TRACES_SAMPLER \"{name}\" is not known: parentbased_always_on is used";
                return new(true, 1);
        }
    }

    public ActivitySamplingResult Sample(ref ActivityCreationOptions<ActivityContext> options) =>
        IsSampled(options.Parent, options.TraceId) ? ActivitySamplingResult.AllDataAndRecorded : ActivitySamplingResult.PropagationData;

    private bool IsSampled(ActivityContext parent, ActivityTraceId trace)
    {
        if (IsParentBased && parent != default)
        {
            return parent.TraceFlags.HasFlag(ActivityTraceFlags.Recorded);
        }

        if (Ratio is 0 or 1)
        {
            return Ratio == 1;
        }

        // The same requests at every hop: the decision is a function of the trace's id.
        Span<byte> id = stackalloc byte[16];
        trace.CopyTo(id);
        return BinaryPrimitives.ReadUInt64BigEndian(id[8..]) >> 11 < Ratio * (1UL << 53);
    }
}
