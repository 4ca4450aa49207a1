namespace McpProxy.Telemetry.Otlp;

/// <summary>Who sends: the part that traces and metrics have in common.</summary>
internal sealed record OtlpResource(IReadOnlyList<KeyValuePair<string, string>> Attributes)
{
    public static string? ScopeVersion { get; } = typeof(OtlpResource).Assembly.GetName().Version?.ToString(3);

    /// <summary>A request with one resource and one scope: the layers are numbered alike for all signals.</summary>
    public ReadOnlyMemory<byte> Request(Action<ProtobufWriter> writeItems)
    {
        var request = new ProtobufWriter();
        request.Message(1, all =>
        {
            all.Message(1, resource =>
            {
                foreach (var (key, value) in Attributes)
                {
                    resource.Attribute(1, key, value);
                }
            });
            all.Message(2, scoped =>
            {
                scoped.Message(1, scope =>
                {
                    scope.Text(1, ProxyTelemetry.MeterName);
                    scope.Text(2, ScopeVersion);
                });
                writeItems(scoped);
            });
        });
        return request.Written;
    }

    /// <summary>A time as OTLP has it.</summary>
    public static ulong Nanoseconds(DateTimeOffset time) => (ulong)(time - DateTimeOffset.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick;
}
