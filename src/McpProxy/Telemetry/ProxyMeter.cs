using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace McpProxy.Telemetry;

/// <summary>
/// What the proxy measures. Names and attributes are those of OpenTelemetry's conventions for MCP where they have one. Every
/// attribute takes a bounded number of values; measuring costs next to nothing while nobody listens, and never allocates.
/// </summary>
internal static class ProxyMeter
{
    public const string MethodKey = "mcp.method.name";
    public const string ErrorTypeKey = "error.type";

    private static readonly Meter s_meter = new(ProxyTelemetry.MeterName, typeof(ProxyMeter).Assembly.GetName().Version?.ToString(3));

    /// <summary>The boundaries that the conventions for MCP advise.</summary>
    private static readonly InstrumentAdvice<double> s_duration = new() { HistogramBucketBoundaries = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300] };

    private static readonly Histogram<double> s_serverDuration = s_meter.CreateHistogram(
        "mcp.server.operation.duration", "s", "Time from a client's request to the answer that was handed to it", null, s_duration);

    private static readonly Histogram<double> s_clientDuration = s_meter.CreateHistogram(
        "mcp.client.operation.duration", "s", "Time from a request to the server to its answer", null, s_duration);

    private static readonly Counter<long> s_requests = s_meter.CreateCounter<long>("mcp_proxy.requests", "{request}", "Requests of clients, by what became of them");
    private static readonly ObservableCounter<long> s_bytes = CreateObserved();
    private static readonly UpDownCounter<long> s_sessions = s_meter.CreateUpDownCounter<long>("mcp_proxy.sessions", "{session}", "Sessions that exist now");
    private static readonly Counter<long> s_childStarts = s_meter.CreateCounter<long>("mcp_proxy.child.starts", "{process}", "Server processes started, or that could not be started");
    private static readonly Counter<long> s_childExits = s_meter.CreateCounter<long>("mcp_proxy.child.exits", "{process}", "Server processes that ended");
    private static readonly Counter<long> s_childRestarts = s_meter.CreateCounter<long>("mcp_proxy.child.restarts", "{process}", "Shared servers connected to anew after the one before had ended");
    private static readonly Counter<long> s_authentications = s_meter.CreateCounter<long>("mcp_proxy.authentications", "{request}", "Checks of clients' credentials");
    private static readonly Counter<long> s_limitRefusals = s_meter.CreateCounter<long>("mcp_proxy.limit.refusals", "{request}", "HTTP requests refused because a limit was reached");

    private static readonly UpDownCounter<long> s_bridgeSessions = s_meter.CreateUpDownCounter<long>("mcp_proxy.bridge.sessions", "{session}", "Sessions between peers of different eras now");
    private static readonly UpDownCounter<long> s_parked = s_meter.CreateUpDownCounter<long>("mcp_proxy.bridge.parked", "{call}", "Calls that wait now for a client's answers to a server's questions");
    private static readonly Counter<long> s_parkedEnds = s_meter.CreateCounter<long>("mcp_proxy.bridge.parked.ends", "{call}", "Calls that waited for a client's answers, by what became of that");
    private static readonly Counter<long> s_stateRefusals = s_meter.CreateCounter<long>("mcp_proxy.bridge.state.refusals", "{request}", "Requests with a state that was not given for them, or is no longer good");

    // Added up here, and read by who wants to know: each message and its answer count four times, and a response twice.
    private static long s_receivedDownstream;
    private static long s_sentDownstream;
    private static long s_receivedUpstream;
    private static long s_sentUpstream;
    private static long s_openStreams;

    /// <summary>Whether anybody listens to what requests do.</summary>
    public static bool MeasuresRequests => s_requests.Enabled || s_serverDuration.Enabled || s_clientDuration.Enabled;

    /// <summary>Counts a session until what is returned is disposed.</summary>
    /// <param name="transport">The client's: <c>stdio</c>, <c>sse</c>, <c>streamable-http</c>.</param>
    public static CountedSession Session(string transport)
    {
        s_sessions.Add(1, new KeyValuePair<string, object?>("transport", transport));
        return new(transport);
    }

    /// <summary>Counts what became of a client's request.</summary>
    public static void Request(string method, RequestOutcome outcome) =>
        s_requests.Add(1, new KeyValuePair<string, object?>(MethodKey, method), new KeyValuePair<string, object?>("outcome", Word(outcome)));

    /// <summary>Measures how long a client's request took, as the client sees it.</summary>
    public static void ServerOperation(string method, string? errorType, TimeSpan duration) => Record(s_serverDuration, method, errorType, duration);

    /// <summary>Measures how long the server took over a request.</summary>
    public static void ClientOperation(string method, string? errorType, TimeSpan duration) => Record(s_clientDuration, method, errorType, duration);

    /// <summary>Counts a message that was received.</summary>
    public static void Received(MessageSide from, int bytes) => Count(ref from == MessageSide.Downstream ? ref s_receivedDownstream : ref s_receivedUpstream, bytes);

    /// <summary>Counts a message that was sent.</summary>
    public static void Sent(MessageSide to, int bytes) => Count(ref to == MessageSide.Downstream ? ref s_sentDownstream : ref s_sentUpstream, bytes);

    /// <summary>Counts an HTTP response that was opened (1) or closed (-1).</summary>
    public static void Stream(int change) => Interlocked.Add(ref s_openStreams, change);

    /// <summary>Counts a server process that was started, or not.</summary>
    public static void ChildStarted(bool succeeded) => s_childStarts.Add(1, new KeyValuePair<string, object?>("outcome", succeeded ? "ok" : "error"));

    /// <summary>Counts a server process that ended.</summary>
    /// <param name="exitCode">Its exit code; above 128 for a signal.</param>
    /// <param name="wasAsked">Whether the proxy ended it.</param>
    public static void ChildExited(int exitCode, bool wasAsked) => s_childExits.Add(
        1,
        new KeyValuePair<string, object?>("status", exitCode == 0 ? "success" : exitCode > 128 ? "signal" : "failure"),
        new KeyValuePair<string, object?>("reason", wasAsked ? "asked" : "itself"));

    /// <summary>Counts a shared server that was connected to again.</summary>
    public static void ChildRestarted() => s_childRestarts.Add(1);

    /// <summary>Counts a check of a client's credentials.</summary>
    /// <param name="result">One of few words: <c>ok</c>, <c>missing</c>, <c>invalid</c>, <c>insufficient_scope</c>, <c>unavailable</c>.</param>
    public static void Authentication(string result) => s_authentications.Add(1, new KeyValuePair<string, object?>("result", result));

    /// <summary>Counts a refusal.</summary>
    /// <param name="limit">One of few words that name the limit.</param>
    public static void Refused(string limit) => s_limitRefusals.Add(1, new KeyValuePair<string, object?>("limit", limit));

    /// <summary>Counts a session between peers of different eras that was opened (1) or closed (-1).</summary>
    public static void BridgeSession(BridgeDirection direction, int change) => s_bridgeSessions.Add(change, Direction(direction));

    /// <summary>Counts a call that begins to wait for a client's answers.</summary>
    public static void Parked(BridgeDirection direction) => s_parked.Add(1, Direction(direction));

    /// <summary>Counts a call that waits for a client's answers no longer.</summary>
    public static void Unparked(BridgeDirection direction, ParkedOutcome outcome)
    {
        s_parked.Add(-1, Direction(direction));
        ParkedEnd(direction, outcome);
    }

    /// <summary>Counts a call that could not even begin to wait.</summary>
    public static void NotParked(BridgeDirection direction) => ParkedEnd(direction, ParkedOutcome.BoundReached);

    /// <summary>Counts a request whose state was refused.</summary>
    public static void StateRefused() => s_stateRefusals.Add(1);

    public static string Word(RequestOutcome outcome) => outcome switch
    {
        RequestOutcome.Ok => "ok",
        RequestOutcome.Error => "error",
        RequestOutcome.Cancelled => "cancelled",
        RequestOutcome.TimedOut => "timed_out",
        _ => "refused",
    };

    private static void ParkedEnd(BridgeDirection direction, ParkedOutcome outcome) =>
        s_parkedEnds.Add(1, Direction(direction), new KeyValuePair<string, object?>("outcome", outcome switch
        {
            ParkedOutcome.Answered => "answered",
            ParkedOutcome.Refused => "refused",
            ParkedOutcome.Expired => "expired",
            ParkedOutcome.Cancelled => "cancelled",
            ParkedOutcome.ServerGone => "server_gone",
            _ => "bound_reached",
        }));

    private static KeyValuePair<string, object?> Direction(BridgeDirection direction) =>
        new("direction", direction == BridgeDirection.LegacyToModern ? "legacy_to_modern" : "modern_to_legacy");

    private static ObservableCounter<long> CreateObserved()
    {
        s_meter.CreateObservableUpDownCounter("mcp_proxy.streams", static () => Interlocked.Read(ref s_openStreams), "{stream}", "HTTP responses open for messages now");
        return s_meter.CreateObservableCounter("mcp_proxy.message.io", ObserveBytes, "By", "Bytes of the messages relayed");
    }

    private static void Count(ref long sum, int bytes)
    {
        if (s_bytes.Enabled)
        {
            Interlocked.Add(ref sum, bytes);
        }
    }

    private static IEnumerable<Measurement<long>> ObserveBytes() =>
    [
        Bytes("downstream", "receive", ref s_receivedDownstream),
        Bytes("downstream", "transmit", ref s_sentDownstream),
        Bytes("upstream", "receive", ref s_receivedUpstream),
        Bytes("upstream", "transmit", ref s_sentUpstream),
    ];

    private static Measurement<long> Bytes(string side, string direction, ref long sum) =>
        new(Interlocked.Read(ref sum), new KeyValuePair<string, object?>("side", side), new KeyValuePair<string, object?>("network.io.direction", direction));

    private static void Record(Histogram<double> histogram, string method, string? errorType, TimeSpan duration)
    {
        var tags = new TagList { { MethodKey, method } };
        if (errorType is not null)
        {
            tags.Add(ErrorTypeKey, errorType);
        }

        histogram.Record(duration.TotalSeconds, tags);
    }

    /// <summary>A session that is counted.</summary>
    internal readonly record struct CountedSession(string Transport) : IDisposable
    {
        public void Dispose() => s_sessions.Add(-1, new KeyValuePair<string, object?>("transport", Transport));
    }
}
