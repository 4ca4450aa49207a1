using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;

namespace McpProxy.Transports.Http;

/// <summary>The event stream of a response (HTML Living Standard, "Server-sent events"), each event bounded.</summary>
internal sealed class ServerSentEvents(UpstreamHttpClient http, HttpResponseMessage response)
{
    private static readonly TimeSpan s_maxRetry = TimeSpan.FromMinutes(1);

    private SseParser<byte[]>? _parser;

    /// <summary>The last event id that was seen, or null.</summary>
    public string? LastEventId => _parser?.LastEventId is { Length: > 0 } id ? id : null;

    /// <summary>How long the server asks to wait before reconnecting, if it said; a minute at most.</summary>
    public TimeSpan? Retry => _parser is { } parser && parser.ReconnectionInterval != Timeout.InfiniteTimeSpan
        ? TimeSpan.FromTicks(Math.Clamp(parser.ReconnectionInterval.Ticks, 0, s_maxRetry.Ticks))
        : null;

    /// <summary>Whether a response is an event stream.</summary>
    public static bool IsEventStream(HttpResponseMessage response) =>
        !(response.Content.Headers.NonValidated.TryGetValues("Content-Type", out var said) && string.Equals(said.ToString(), "application/json", StringComparison.Ordinal))
        && string.Equals(response.Content.Headers.ContentType?.MediaType, "text/event-stream", StringComparison.OrdinalIgnoreCase);

    /// <summary>The events, until the server ends the stream.</summary>
    /// <exception cref="UpstreamHttpException">The stream broke, or an event is too long.</exception>
    public async IAsyncEnumerable<(string Type, byte[] Data)> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);

        // An event is its data and a few short fields around it.
        await using var bounded = new BoundedStream(stream, http.Options.MaxMessageSize + 64L * 1024);
        _parser = SseParser.Create(bounded, static (_, data) => data.ToArray());
        await using var events = _parser.EnumerateAsync(cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (true)
        {
            try
            {
                if (!await events.MoveNextAsync())
                {
                    yield break;
                }
            }
            catch (Exception e) when (e is HttpRequestException or IOException and not UpstreamHttpException)
            {
                throw new UpstreamHttpException($"the event stream broke off: {e.Message}", requestWasSent: true);
            }

            bounded.Restart();
            yield return (events.Current.EventType, events.Current.Data);
        }
    }
}
