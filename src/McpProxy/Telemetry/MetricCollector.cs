using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace McpProxy.Telemetry;

/// <summary>Adds up what the proxy measures, from now until disposed, for whoever shows or sends it.</summary>
public sealed class MetricCollector : IDisposable
{
    private readonly ConcurrentDictionary<Instrument, Metric> _metrics = [];
    private readonly MeterListener _listener;
    private readonly Lock _gate = new();
    private bool _isStarting = true;

    /// <summary>Starts to listen.</summary>
    /// <param name="time">The clock; the system's when null.</param>
    public MetricCollector(TimeProvider? time = null)
    {
        Started = (time ?? TimeProvider.System).GetUtcNow();
        _listener = new()
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == ProxyTelemetry.MeterName && NewMetric(instrument) is { } metric)
                {
                    _metrics[instrument] = metric;
                    listener.EnableMeasurementEvents(instrument, metric);
                }
            },
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, metric) =>
        {
            if (instrument.IsObservable)
            {
                ((Metric)metric!).Observe(value, tags, isFirst: _isStarting);
            }
            else
            {
                ((Metric)metric!).Add(value, tags);
            }
        });
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, metric) => ((Metric)metric!).Add(value, tags));
        _listener.Start();
        _listener.RecordObservableInstruments();
        _isStarting = false;
    }

    /// <summary>Since when measurements are added up.</summary>
    internal DateTimeOffset Started { get; }

    /// <summary>The instruments, by name.</summary>
    internal IEnumerable<Metric> Metrics
    {
        get
        {
            lock (_gate)
            {
                _listener.RecordObservableInstruments();
            }

            return _metrics.Values.OrderBy(metric => metric.Name, StringComparer.Ordinal);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();

    private static Metric? NewMetric(Instrument instrument) => instrument switch
    {
        Counter<long> or ObservableCounter<long> => new(instrument.Name, instrument.Unit, instrument.Description, MetricKind.Counter, null),
        UpDownCounter<long> or ObservableUpDownCounter<long> => new(instrument.Name, instrument.Unit, instrument.Description, MetricKind.UpDownCounter, null),
        Histogram<double> histogram => new(instrument.Name, instrument.Unit, instrument.Description, MetricKind.Histogram, [.. histogram.Advice?.HistogramBucketBoundaries ?? []]),
        _ => null,
    };
}
