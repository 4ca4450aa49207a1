using System.Globalization;

namespace McpProxy.Telemetry.Otlp;

/// <summary>Where traces and metrics are sent, as OpenTelemetry's environment variables say it.</summary>
internal sealed record OtlpSettings
{
    private const string Prefix = "OTEL_EXPORTER_OTLP_";

    /// <summary>Where traces go; null: nowhere.</summary>
    public OtlpTarget? Traces { get; init; }

    /// <summary>Where metrics go; null: nowhere.</summary>
    public OtlpTarget? Metrics { get; init; }

    public required OtlpResource Resource { get; init; }

    public required TraceSampler Sampler { get; init; }

    /// <summary>The longest that a span waits before it is sent.</summary>
    public TimeSpan TraceInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How often metrics are sent.</summary>
    public TimeSpan MetricInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>What is wrong with the variables; the rest of them counts.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>The settings; null when nothing is to be sent.</summary>
    public static OtlpSettings? Of(Func<string, string?> environment)
    {
        if ((Value("ENDPOINT") ?? Value("TRACES_ENDPOINT") ?? Value("METRICS_ENDPOINT")) is null
            || string.Equals(environment("OTEL_SDK_DISABLED"), "true", StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        var problems = new List<string>();
        var settings = new OtlpSettings
        {
            Traces = Target("TRACES"),
            Metrics = Target("METRICS"),
            Resource = new(Attributes()),
            Sampler = TraceSampler.Of(environment("OTEL_TRACES_SAMPLER"), environment("OTEL_TRACES_SAMPLER_ARG"), out var samplerProblem),
            TraceInterval = Milliseconds("OTEL_BSP_SCHEDULE_DELAY", 5000),
            MetricInterval = Milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
        };
        if (samplerProblem is not null)
        {
            problems.Add(samplerProblem);
        }

        return settings with { Problems = problems };

        string? Value(string name) => environment(Prefix + name) is { } value && !string.IsNullOrWhiteSpace(value) ? value.Trim() : null;

        OtlpTarget? Target(string signal)
        {
            if (environment($"OTEL_{signal}_EXPORTER") is { Length: > 0 } exporter && exporter != "otlp")
            {
                if (exporter != "none")
                {
                    problems.Add($"OTEL_{signal}_EXPORTER \"{exporter}\" is not supported, otlp and none are: nothing is sent");
                }

                return null;
            }

            var own = Value($"{signal}_ENDPOINT");
            if ((own ?? Value("ENDPOINT")) is not { } endpoint)
            {
                return null;
            }

            var protocol = Value($"{signal}_PROTOCOL") ?? Value("PROTOCOL") ?? "http/protobuf";
            if (protocol != "http/protobuf")
            {
                problems.Add($"OTEL_EXPORTER_OTLP_PROTOCOL \"{protocol}\" is not supported: set http/protobuf, which collectors take on port 4318; {Word(signal)} are not sent");
                return null;
            }

            // The variable for all signals is a base, that for one is the whole address (OTLP exporter specification, "Endpoint URLs").
            var text = own ?? $"{endpoint.TrimEnd('/')}/v1/{Word(signal)}";
            if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https"))
            {
                problems.Add($"OTEL_EXPORTER_OTLP_ENDPOINT is not an http or https URL: {Word(signal)} are not sent");
                return null;
            }

            return new(url, Pairs($"{Prefix}{(Value($"{signal}_HEADERS") is null ? "" : $"{signal}_")}HEADERS"), Milliseconds($"{Prefix}TIMEOUT", 10_000));
        }

        static string Word(string signal) => signal == "TRACES" ? "traces" : "metrics";

        List<KeyValuePair<string, string>> Attributes()
        {
            var attributes = Pairs("OTEL_RESOURCE_ATTRIBUTES");
            if (environment("OTEL_SERVICE_NAME") is { Length: > 0 } service)
            {
                attributes.RemoveAll(pair => pair.Key == "service.name");
                attributes.Add(new("service.name", service));
            }
            else if (!attributes.Exists(pair => pair.Key == "service.name"))
            {
                attributes.Add(new("service.name", "mcp-proxy"));
            }

            if (!attributes.Exists(pair => pair.Key == "service.version"))
            {
                attributes.Add(new("service.version", OtlpResource.ScopeVersion ?? ""));
            }

            attributes.Add(new("telemetry.sdk.language", "dotnet"));
            attributes.Add(new("telemetry.sdk.name", "mcp-proxy"));
            return attributes;
        }

        List<KeyValuePair<string, string>> Pairs(string variable)
        {
            var pairs = new List<KeyValuePair<string, string>>();
            foreach (var part in (environment(variable) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            {
                var equals = part.IndexOf('=', StringComparison.Ordinal);
                if (equals < 1)
                {
                    // What stands there may be a secret that went wrong.
                    problems.Add($"{variable} has a part that is not NAME=VALUE: it is left out");
                    continue;
                }

                pairs.Add(new(part[..equals].Trim(), Uri.UnescapeDataString(part[(equals + 1)..].Trim())));
            }

            return pairs;
        }

        TimeSpan Milliseconds(string variable, int otherwise)
        {
            if (environment(variable) is not { Length: > 0 } text)
            {
                return TimeSpan.FromMilliseconds(otherwise);
            }

            if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value > 0)
            {
                return TimeSpan.FromMilliseconds(value);
            }

            problems.Add($"{variable} takes milliseconds, not \"{text}\": {otherwise} is used");
            return TimeSpan.FromMilliseconds(otherwise);
        }
    }
}
