namespace McpProxy.Telemetry.Otlp;

/// <summary>Where one signal is sent.</summary>
/// <param name="Url">The whole address.</param>
/// <param name="Headers">What goes along; secrets, most likely.</param>
/// <param name="Timeout">How long one request may take.</param>
internal sealed record OtlpTarget(Uri Url, IReadOnlyList<KeyValuePair<string, string>> Headers, TimeSpan Timeout);
