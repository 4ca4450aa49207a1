namespace McpProxy.Telemetry;

/// <summary>The sum, or the distribution, of the measurements with one set of attributes.</summary>
internal sealed class MetricSeries(KeyValuePair<string, string>[] tags, double[]? boundaries, MetricSeries? next)
{
    private readonly Lock _gate = new();
    private readonly long[]? _buckets = boundaries is null ? null : new long[boundaries.Length + 1];
    private long _count;
    private double _sum;
    private double _before;

    /// <summary>The attributes, in the order in which they are measured.</summary>
    public KeyValuePair<string, string>[] Tags => tags;

    /// <summary>Another series whose attributes fall in the same place.</summary>
    public MetricSeries? Next => next;

    public void Add(double value)
    {
        lock (_gate)
        {
            _count++;
            _sum += value;
            if (_buckets is not null)
            {
                var index = 0;
                while (index < boundaries!.Length && value > boundaries[index])
                {
                    index++;
                }

                _buckets[index]++;
            }
        }
    }

    /// <summary>Says what a sum that is kept elsewhere is now.</summary>
    public void Set(double sum)
    {
        lock (_gate)
        {
            _sum = sum - _before;
        }
    }

    /// <summary>Says from what on a sum that is kept elsewhere counts.</summary>
    public void BeginAt(double sum)
    {
        lock (_gate)
        {
            _before = sum;
        }
    }

    /// <summary>What was measured so far; the buckets are null where nothing but the sum is kept.</summary>
    public (long Count, double Sum, long[]? Buckets) Read()
    {
        lock (_gate)
        {
            return (_count, _sum, (long[]?)_buckets?.Clone());
        }
    }

    public bool Has(ReadOnlySpan<KeyValuePair<string, object?>> measured)
    {
        if (measured.Length != tags.Length)
        {
            return false;
        }

        for (var i = 0; i < tags.Length; i++)
        {
            // Nearly all are the same objects each time.
            var (key, value) = (measured[i].Key, measured[i].Value);
            if ((!ReferenceEquals(tags[i].Value, value) && !string.Equals(tags[i].Value, value as string, StringComparison.Ordinal))
                || (!ReferenceEquals(tags[i].Key, key) && !string.Equals(tags[i].Key, key, StringComparison.Ordinal)))
            {
                return false;
            }
        }

        return true;
    }
}
