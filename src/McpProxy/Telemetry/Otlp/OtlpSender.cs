using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Telemetry.Otlp;

/// <summary>Sends one signal to a collector. What it does not take now is tried again with the next; what it never takes is left out.</summary>
internal sealed partial class OtlpSender(OtlpTarget target, HttpMessageInvoker http, TimeProvider time, ILogger logger)
{
    private const int MaxAttempts = 5;

    private ReadOnlyMemory<byte> _unsent;
    private int _attempts;
    private bool _isFailing;

    /// <summary>Whether something is left that has to go first.</summary>
    public bool HasUnsent => !_unsent.IsEmpty;

    /// <summary>Sends what was left over, or this.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        _unsent = body;
        _attempts = 0;
        await RetryAsync(cancellationToken);
    }

    /// <summary>Sends what was left over.</summary>
    public async Task RetryAsync(CancellationToken cancellationToken)
    {
        if (!HasUnsent)
        {
            return;
        }

        var (problem, isTemporary) = await PostAsync(_unsent, cancellationToken);
        if (problem is null)
        {
            _unsent = default;
            if (_isFailing)
            {
                _isFailing = false;
                LogRecovered(target.Url.AbsolutePath);
            }

            return;
        }

        // Said once: a collector that is away for a day is no news every five seconds.
        LogFailed(_isFailing ? LogLevel.Debug : LogLevel.Warning, UpstreamHttpClient.Describe(target.Url), problem);
        _isFailing = true;
        if (!isTemporary || ++_attempts == MaxAttempts)
        {
            _unsent = default;
        }
    }

    private async Task<(string? Problem, bool IsTemporary)> PostAsync(ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, target.Url) { Content = new ReadOnlyMemoryContent(body) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", "application/x-protobuf");
        request.Headers.TryAddWithoutValidation("User-Agent", UpstreamHttpClient.UserAgent);
        foreach (var (name, value) in target.Headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await using var timer = time.CreateTimer(static state => ((CancellationTokenSource)state!).Cancel(), timeout, target.Timeout, Timeout.InfiniteTimeSpan);
        try
        {
            using var response = await http.SendAsync(request, timeout.Token);
            var status = (int)response.StatusCode;
            return response.IsSuccessStatusCode ? (null, false) : ($"HTTP {status}", status is 429 or 502 or 503 or 504);
        }
        catch (HttpRequestException e)
        {
            return (UpstreamHttpClient.Innermost(e), true);
        }
        catch (OperationCanceledException)
        {
            return ("it did not answer in time", !cancellationToken.IsCancellationRequested);
        }
    }

    [LoggerMessage(Message = "Telemetry could not be sent to {Collector}: {Reason}")]
    private partial void LogFailed(LogLevel level, string collector, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Telemetry is sent again ({Path})")]
    private partial void LogRecovered(string path);
}
