using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using McpProxy.Transports.Http;
using McpProxy.Transports.Http.Tls;
using Microsoft.Extensions.Logging;

namespace McpProxy.Telemetry.Otlp;

/// <summary>
/// Sends what the proxy traces and measures to an OpenTelemetry collector (OTLP/HTTP with Protocol Buffers). The SDK would cost every
/// user 1.7 MB of program, 1.5 MB of memory and 2 ms at each start; this costs nothing before the environment asks for it.
/// </summary>
internal sealed partial class OtlpExporter : IAsyncDisposable
{
    /// <summary>Spans in one request, and spans that may wait; more are counted and left out.</summary>
    private const int BatchSize = 512;
    private const int MaxWaiting = 2048;

    /// <summary>How long the end of the program waits for the last of it.</summary>
    private static readonly TimeSpan s_lastFlush = TimeSpan.FromSeconds(2);

    private readonly OtlpSettings _settings;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly HttpMessageInvoker _http;
    private readonly OtlpSender? _traces;
    private readonly OtlpSender? _metrics;
    private readonly ActivityListener? _listener;
    private readonly MetricCollector? _collector;
    private readonly ConcurrentQueue<Activity> _spans = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly CancellationTokenSource _stopped = new();
    private readonly ITimer _timer;
    private readonly Task _running;
    private long _leftOut;
    private int _isAwake;
    private volatile bool _isStopping;

    private OtlpExporter(OtlpSettings settings, TimeProvider time, ILogger logger)
    {
        _settings = settings;
        _time = time;
        _logger = logger;
        _http = new(new SocketsHttpHandler
        {
            AutomaticDecompression = DecompressionMethods.None,
            AllowAutoRedirect = false,
            UseCookies = false,
            Proxy = new SystemProxies(),
            SslOptions = TlsSettings.Of(new()),

            // Sending traces is not traced.
            ActivityHeadersPropagator = null,
        });
        if (settings.Traces is { } traces)
        {
            _traces = new(traces, _http, time, logger);
            _listener = new()
            {
                ShouldListenTo = source => source.Name == ProxyTelemetry.ActivitySourceName,
                Sample = settings.Sampler.Sample,
                ActivityStopped = Take,
            };
            ActivitySource.AddActivityListener(_listener);
        }

        if (settings.Metrics is { } metrics)
        {
            _metrics = new(metrics, _http, time, logger);
            _collector = new(time);
        }

        var interval = _traces is null ? settings.MetricInterval : settings.TraceInterval < settings.MetricInterval || _metrics is null ? settings.TraceInterval : settings.MetricInterval;
        _timer = time.CreateTimer(_ => Wake(), null, interval, interval);
        _running = RunAsync();
    }

    /// <summary>Starts to send, if the environment says where to.</summary>
    /// <returns>Null when it does not.</returns>
    public static OtlpExporter? Start(Func<string, string?> environment, TimeProvider time, ILoggerFactory loggers)
    {
        if (OtlpSettings.Of(environment) is not { } settings)
        {
            return null;
        }

        var logger = loggers.CreateLogger("telemetry");
        foreach (var problem in settings.Problems)
        {
            LogProblem(logger, problem);
        }

        return settings.Traces is null && settings.Metrics is null ? null : new(settings, time, logger);
    }

    /// <summary>Sends the last of it, if the collector takes it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isStopping)
        {
            return;
        }

        _listener?.Dispose();
        _isStopping = true;
        _wake.Release();
        await using (_time.CreateTimer(_ => _stopped.Cancel(), null, s_lastFlush, Timeout.InfiniteTimeSpan))
        {
            await _running;
        }

        await _timer.DisposeAsync();
        _collector?.Dispose();
        _http.Dispose();
        _stopped.Dispose();
        _wake.Dispose();
    }

    private void Take(Activity activity)
    {
        if (!activity.Recorded)
        {
            return;
        }

        if (_spans.Count >= MaxWaiting)
        {
            Interlocked.Increment(ref _leftOut);
            return;
        }

        _spans.Enqueue(activity);
        if (_spans.Count >= BatchSize)
        {
            Wake();
        }
    }

    private void Wake()
    {
        if (Interlocked.Exchange(ref _isAwake, 1) == 0)
        {
            _wake.Release();
        }
    }

    private async Task RunAsync()
    {
        await Task.Yield();
        var measured = _time.GetTimestamp();
        var isLast = false;
        while (!isLast)
        {
            await _wake.WaitAsync();
            _isAwake = 0;
            isLast = _isStopping;
            try
            {
                await SendTracesAsync();
                if (_metrics is not null && (isLast || _time.GetElapsedTime(measured) >= _settings.MetricInterval))
                {
                    // The newest sums hold all that an earlier request would have said.
                    measured = _time.GetTimestamp();
                    await _metrics.SendAsync(OtlpMetrics.Encode(_settings.Resource, _collector!, _time.GetUtcNow()), _stopped.Token);
                }
            }
            catch (Exception e)
            {
                // A defect of ours costs what was to be sent, not the proxy.
                LogDefect(e);
            }
        }
    }

    private async Task SendTracesAsync()
    {
        if (_traces is null)
        {
            return;
        }

        await _traces.RetryAsync(_stopped.Token);
        while (!_traces.HasUnsent && !_spans.IsEmpty)
        {
            var batch = new List<Activity>(BatchSize);
            while (batch.Count < BatchSize && _spans.TryDequeue(out var span))
            {
                batch.Add(span);
            }

            await _traces.SendAsync(OtlpTraces.Encode(_settings.Resource, batch), _stopped.Token);
        }

        if (Interlocked.Exchange(ref _leftOut, 0) is > 0 and var count)
        {
            LogLeftOut(count);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Problem}")]
    private static partial void LogProblem(ILogger logger, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} spans were left out: the collector does not take them fast enough")]
    private partial void LogLeftOut(long count);

    [LoggerMessage(Level = LogLevel.Error, Message = "Defect while sending telemetry")]
    private partial void LogDefect(Exception exception);
}
