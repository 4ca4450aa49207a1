namespace McpProxy.SideBySide;

/// <summary>The rows of the two tables and the third with what holds whatever the speed, with the project's targets.</summary>
internal static class Rows
{
    public static IReadOnlyList<Row> Figures { get; } =
    [
        new("cold start to `initialize` answered", Side.Connecting, "start", "start_ms", Unit.Milliseconds) { FloorBound = 8 },
        new("resident memory after start", Side.Connecting, "start", "rss_kb", Unit.Megabytes) { Bound = 11 * 1024 },
        new("resident memory after 10 000 messages and a second's rest", Side.Connecting, "soak", "rss_kb", Unit.Megabytes) { Bound = 14 * 1024 },
        new("round trip p50 (p99), 200 B, one CPU", Side.Connecting, "latency", "p50_us", Unit.Microseconds) { Second = "p99_us", FloorBound = 1.5 },
        new("round trip p50 (p99), 1 MB", Side.Connecting, "latency-1m", "p50_us", Unit.Microseconds) { Second = "p99_us", FloorBound = 1.6 },
        new("throughput, 64 in flight", Side.Connecting, "throughput", "per_second", Unit.PerSecond) { FloorBound = 0.6, MoreIsBetter = true },
        new("CPU per 10 000 requests, 16 in flight", Side.Connecting, "soak", "cpu_ms", Unit.Milliseconds) { FloorBound = 2.5 },
        new("cold start over https, own CA file", Side.Connecting, "https-start", "start_ms", Unit.Milliseconds) { Bound = 25 },
        new("exit after end of input", Side.Connecting, "start", "end_ms", Unit.Milliseconds) { Bound = 20 },
        new("1 MB messages, 16 in flight: peak", Side.Connecting, "big", "peak_kb", Unit.Megabytes),
        new("growth over 100 000 messages", Side.Connecting, "growth", "bytes_per_message", Unit.BytesPerMessage) { Bound = 2 },
        new("instructions for each message, user mode", Side.Connecting, "instructions", "per_message", Unit.Count),

        new("cold start to `initialize` answered", Side.Serving, "start", "start_ms", Unit.Milliseconds) { FloorBound = 8 },
        new("resident memory after start", Side.Serving, "start", "rss_kb", Unit.Megabytes) { Bound = 16 * 1024 },
        new("resident memory after 10 000 messages and a second's rest", Side.Serving, "soak", "rss_kb", Unit.Megabytes) { Bound = 20 * 1024 },
        new("round trip p50 (p99), 200 B, one CPU", Side.Serving, "latency", "p50_us", Unit.Microseconds) { Second = "p99_us", FloorBound = 1.8 },
        new("round trip p50 (p99), 1 MB", Side.Serving, "latency-1m", "p50_us", Unit.Microseconds) { Second = "p99_us", FloorBound = 2 },
        new("throughput, 64 in flight", Side.Serving, "throughput", "per_second", Unit.PerSecond) { FloorBound = 0.5, MoreIsBetter = true },
        new("throughput, 64 in flight, 100 sessions", Side.Serving, "throughput-100", "per_second", Unit.PerSecond) { FloorBound = 0.5, MoreIsBetter = true },
        new("CPU per 10 000 requests, 16 in flight", Side.Serving, "soak", "cpu_ms", Unit.Milliseconds) { FloorBound = 3.5 },
        new("each of 1000 idle sessions with an open stream", Side.Serving, "sessions", "session_kb", Unit.Kilobytes) { Bound = 16 },
        new("of which kept after they are closed", Side.Serving, "sessions", "kept_kb", Unit.Kilobytes) { Bound = 2 },
        new("1 MB messages, 16 in flight: peak", Side.Serving, "big", "peak_kb", Unit.Megabytes) { Bound = 40 * 1024 },
        new("and after two seconds' rest", Side.Serving, "big", "after_kb", Unit.Megabytes) { Bound = 20 * 1024 },
        new("SIGTERM with 100 idle sessions to exit", Side.Serving, "term", "term_ms", Unit.Milliseconds) { Bound = 50 },
        new("growth over 100 000 messages", Side.Serving, "growth", "bytes_per_message", Unit.BytesPerMessage) { Bound = 2 },
        new("instructions for each message, user mode", Side.Serving, "instructions", "per_message", Unit.Count),
    ];

    public static IReadOnlyList<Row> Invariants { get; } =
    [
        new("stdio → HTTP: progress notifications of 50 that arrive", Side.Connecting, "progress", "least", Unit.Count) { Bound = 50, MoreIsBetter = true },
        new("HTTP → stdio: progress notifications of 50 that arrive", Side.Serving, "progress", "least", Unit.Count) { Bound = 50, MoreIsBetter = true },
        new("HTTP → stdio: answers that two sessions with the same ids confuse, of 400", Side.Serving, "same-id", "wrong", Unit.Count) { Bound = 0 },
        new("stdio → HTTP: of the ideal rate, 64 in flight at a server that takes 20 ms", Side.Connecting, "slow", "of_ideal", Unit.Percent) { Bound = 0.88, MoreIsBetter = true },
        new("HTTP → stdio: the same", Side.Serving, "slow", "of_ideal", Unit.Percent) { Bound = 0.88, MoreIsBetter = true },
    ];
}
