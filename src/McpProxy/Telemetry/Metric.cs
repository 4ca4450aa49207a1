namespace McpProxy.Telemetry;

/// <summary>One instrument and what was measured with it, by attributes.</summary>
internal sealed class Metric(string name, string? unit, string? description, MetricKind kind, double[]? boundaries)
{
    /// <summary>More sets of attributes than that share one series: whatever went wrong then, memory stays bounded.</summary>
    private const int MaxSeries = 1000;
    private const int Places = 64;

    private static readonly KeyValuePair<string, string>[] s_overflowTags = [new("otel.metric.overflow", "true")];

    private readonly Lock _gate = new();
    private readonly MetricSeries?[] _places = new MetricSeries?[Places];
    private MetricSeries? _overflow;
    private int _count;

    public string Name => name;

    public string? Unit => unit;

    public string? Description => description;

    public MetricKind Kind => kind;

    /// <summary>The upper bounds of a histogram's buckets, without the last, which is infinite.</summary>
    public double[]? Boundaries => boundaries;

    public IEnumerable<MetricSeries> Series
    {
        get
        {
            for (var i = 0; i < Places; i++)
            {
                for (var series = Volatile.Read(ref _places[i]); series is not null; series = series.Next)
                {
                    yield return series;
                }
            }

            if (Volatile.Read(ref _overflow) is { } overflow)
            {
                yield return overflow;
            }
        }
    }

    public void Add(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) => SeriesOf(tags).Add(value);

    /// <summary>Takes a sum that is kept elsewhere.</summary>
    /// <param name="value">The sum.</param>
    /// <param name="tags">Its attributes.</param>
    /// <param name="isFirst">Whether what a counter has counted up to now was before this began.</param>
    public void Observe(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, bool isFirst)
    {
        if (isFirst && kind == MetricKind.Counter)
        {
            SeriesOf(tags).BeginAt(value);
        }
        else
        {
            SeriesOf(tags).Set(value);
        }
    }

    private MetricSeries SeriesOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var place = PlaceOf(tags);
        return Find(Volatile.Read(ref _places[place]), tags) ?? New(place, tags);
    }

    private static int PlaceOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var hash = tags.Length;
        foreach (var tag in tags)
        {
            hash = (hash * 31) + (tag.Value is string { Length: > 0 } text ? text.Length + (text[0] * 7) + (text[^1] * 13) : 0);
        }

        return (int)((uint)hash % Places);
    }

    private static MetricSeries? Find(MetricSeries? series, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        while (series is not null && !series.Has(tags))
        {
            series = series.Next;
        }

        return series;
    }

    private MetricSeries New(int place, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        lock (_gate)
        {
            if (Find(_places[place], tags) is { } other)
            {
                return other;
            }

            if (_count == MaxSeries)
            {
                return _overflow ??= new(s_overflowTags, boundaries, null);
            }

            var own = new KeyValuePair<string, string>[tags.Length];
            for (var i = 0; i < own.Length; i++)
            {
                own[i] = new(tags[i].Key, tags[i].Value as string ?? "");
            }

            var series = new MetricSeries(own, boundaries, _places[place]);
            Volatile.Write(ref _places[place], series);
            _count++;
            return series;
        }
    }
}
