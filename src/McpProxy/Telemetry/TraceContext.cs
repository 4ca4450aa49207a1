using System.Diagnostics;

namespace McpProxy.Telemetry;

/// <summary>
/// The trace that a client's HTTP request belongs to (W3C Trace Context). It goes along with the request's own asynchronous flow, as
/// <see cref="Activity.Current"/> does, so that nothing between the two ends has to know of it.
/// </summary>
/// <param name="Parent">The value of <c>traceparent</c>.</param>
/// <param name="State">The value of <c>tracestate</c>, if there was one.</param>
internal sealed record TraceContext(string Parent, string? State)
{
    private static readonly AsyncLocal<TraceContext?> s_current = new();

    /// <summary>
    /// What the messages that are sent upstream now carry: the span under way where there is one, else the client's own headers,
    /// as they came. Null: nothing.
    /// </summary>
    public static TraceContext? Outgoing =>
        Activity.Current is { IdFormat: ActivityIdFormat.W3C, Id: { } id } activity ? new(id, activity.TraceStateString) : s_current.Value;

    /// <summary>What the client said, if anything.</summary>
    public static TraceContext? Incoming => s_current.Value;

    /// <summary>Remembers what a client's request says, for the rest of this asynchronous flow.</summary>
    public static void Receive(string? parent, string? state)
    {
        // A value that is none would be refused, or worse believed, further up.
        if (!string.IsNullOrEmpty(parent) && ActivityContext.TryParse(parent, state, isRemote: true, out _))
        {
            s_current.Value = new(parent, string.IsNullOrEmpty(state) ? null : state);
        }
        else if (s_current.Value is not null)
        {
            s_current.Value = null;
        }
    }
}
