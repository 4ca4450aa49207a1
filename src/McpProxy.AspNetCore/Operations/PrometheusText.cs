using System.Globalization;
using System.Text;
using McpProxy.Telemetry;

namespace McpProxy.AspNetCore.Operations;

/// <summary>Measurements in Prometheus' text format, version 0.0.4.</summary>
internal sealed class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly StringBuilder _text = new();

    public ReadOnlyMemory<byte> Utf8 => Encoding.UTF8.GetBytes(_text.ToString());

    public override string ToString() => _text.ToString();

    public void Write(IEnumerable<Metric> metrics)
    {
        foreach (var metric in metrics)
        {
            var name = NameOf(metric);
            Family(name, metric.Kind switch { MetricKind.Counter => "counter", MetricKind.Histogram => "histogram", _ => "gauge" }, metric.Description);
            foreach (var series in metric.Series)
            {
                var (count, sum, buckets) = series.Read();
                if (buckets is null)
                {
                    Sample(name, series.Tags, sum);
                    continue;
                }

                long below = 0;
                for (var i = 0; i < buckets.Length; i++)
                {
                    below += buckets[i];
                    Sample($"{name}_bucket", [.. series.Tags, new("le", i < metric.Boundaries!.Length ? Number(metric.Boundaries[i]) : "+Inf")], below);
                }

                Sample($"{name}_sum", series.Tags, sum);
                Sample($"{name}_count", series.Tags, count);
            }
        }
    }

    /// <summary>Begins the samples of one name.</summary>
    public void Family(string name, string type, string? help)
    {
        if (help is not null)
        {
            _text.Append("# HELP ").Append(name).Append(' ').Append(help.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal)).Append('\n');
        }

        _text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
    }

    public void Sample(string name, KeyValuePair<string, string>[] labels, double value)
    {
        _text.Append(name);
        for (var i = 0; i < labels.Length; i++)
        {
            _text.Append(i == 0 ? '{' : ',').Append(Identifier(labels[i].Key)).Append("=\"").Append(Escaped(labels[i].Value)).Append('"');
        }

        _text.Append(labels.Length == 0 ? " " : "} ").Append(Number(value)).Append('\n');
    }

    private static string NameOf(Metric metric)
    {
        var unit = metric.Unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" };
        return Identifier(metric.Name) + unit + (metric.Kind == MetricKind.Counter ? "_total" : "");
    }

    /// <summary>A name in the letters that the format has.</summary>
    private static string Identifier(string name) =>
        string.Create(name.Length, name, static (span, from) =>
        {
            for (var i = 0; i < span.Length; i++)
            {
                span[i] = char.IsAsciiLetter(from[i]) || (i > 0 && char.IsAsciiDigit(from[i])) ? from[i] : '_';
            }
        });

    private static string Escaped(string value) =>
        value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
