using System.Text;
using McpProxy.JsonRpc;
using McpProxy.Telemetry;
using McpProxy.Transports.Polling;
using Microsoft.Extensions.Logging;

namespace McpProxy.Transports.Stdio;

/// <summary>A stdio server that runs as our child (MCP "stdio").</summary>
internal sealed partial class ChildProcessConnection : IConnection
{
    private const int KeptErrorLines = 10;
    private const int MaxErrorLine = 16 * 1024;

    /// <summary>How long a pipe may be silent before it is given up, once the child itself is gone.</summary>
    private static readonly TimeSpan s_lastOutputTimeout = TimeSpan.FromMilliseconds(500);

    private readonly StdioUpstreamOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Action<string> _logErrorLine;
    private readonly string _name;
    private readonly Queue<string> _lastErrorLines = new();
    private readonly ChildProcess? _child;
    private readonly StdioWriter? _writer;
    private readonly string? _startFailure;
    private readonly Task _errorDrained = Task.CompletedTask;
    private readonly TaskCompletionSource _closing = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _reads;
    private volatile bool _isDelivering;
    private int _disposed;

    public ChildProcessConnection(StdioUpstreamOptions options, EventLoops? loops, TimeProvider time, ILoggerFactory loggers)
    {
        _options = options;
        _time = time;
        _logger = loggers.CreateLogger("child");
        _name = Path.GetFileName(options.Command);
        var errorLogger = loggers.CreateLogger(ChildErrorCategory);
        _logErrorLine = line => LogErrorLine(errorLogger, _name, line);
        try
        {
            _child = ChildProcess.Start(options, loops);

            // What did not reach a child that is gone is answered where its end is seen.
            _writer = new(_child.Input, isBlocking: false, confirms: false);
            _errorDrained = DrainErrorAsync(_child.Error);
            LogStarted(_name, _child.Id);
            ProxyMeter.ChildStarted(succeeded: true);
        }
        catch (ChildStartException e)
        {
            _startFailure = e.Message;
            ProxyMeter.ChildStarted(succeeded: false);
        }
    }

    /// <summary>The log category of the lines that a child writes to its standard error.</summary>
    public static string ChildErrorCategory => "child.stderr";

    public bool HasRequestStreams => false;

    /// <summary>Completes with the child's exit, and at once when it could not be started.</summary>
    public Task Gone => _child?.Exited ?? Task.CompletedTask;

    public async Task<ConnectionEnd> RunAsync(IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        if (_child is null)
        {
            return new(ConnectionEndReason.StartFailed, _startFailure!);
        }

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reading = ReadAsync(_child.Output, receiver, stop.Token);
        await Task.WhenAny(reading, _child.Exited, _closing.Task);
        if (_child.Exited.IsCompleted)
        {
            await ReadLastOutputAsync(reading, cancellationToken);
        }

        await stop.CancelAsync();
        if (reading.IsFaulted)
        {
            // A defect of ours, not the child's: let it be seen.
            await reading;
        }

        if (_closing.Task.IsCompleted)
        {
            return new(ConnectionEndReason.Closed, "closed");
        }

        if (!_child.Exited.IsCompleted)
        {
            // End of output comes a moment before the exit that caused it; or the child has more to do first. Either way it is leaving.
            _ = _writer!.CloseAsync(cancellationToken).AsTask();
            await Task.WhenAny(_child.Exited, Task.Delay(_options.CloseGrace, _time, cancellationToken));
        }

        if (_child.Exited.IsCompleted)
        {
            var code = await _child.Exited;
            await Task.WhenAny(_errorDrained, Task.Delay(TimeSpan.FromMilliseconds(100), _time, cancellationToken));
            return new(ConnectionEndReason.ChildExited, $"the server process \"{_name}\" exited with {Describe(code)}{LastErrorLines()}", code);
        }

        return new(ConnectionEndReason.PeerClosed, $"the server process \"{_name}\" closed its standard output{LastErrorLines()}");
    }

    /// <summary>What a child wrote last is still in the pipe; but something that it started may hold the pipe open for ever.</summary>
    private async Task ReadLastOutputAsync(Task reading, CancellationToken cancellationToken)
    {
        long seen;
        do
        {
            seen = Interlocked.Read(ref _reads);
            await Task.WhenAny(reading, Task.Delay(s_lastOutputTimeout, _time, cancellationToken));
        }
        while (!reading.IsCompleted && !cancellationToken.IsCancellationRequested && (_isDelivering || Interlocked.Read(ref _reads) != seen));
    }

    public ValueTask<bool> SendAsync(JsonRpcMessage message, JsonRpcId related, CancellationToken cancellationToken) =>
        _writer is null ? ValueTask.FromResult(false) : _writer.WriteAsync(message.Utf8, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _closing.TrySetResult();
        if (_child is null)
        {
            return;
        }

        var endsByItself = _child.Exited.IsCompleted;
        if (!endsByItself)
        {
            var closing = _writer!.CloseAsync(CancellationToken.None).AsTask();
            if (!await EndsWithinAsync(_options.CloseGrace))
            {
                LogTerminating(_name, _child.Id);
                _child.Terminate();
                if (!await EndsWithinAsync(_options.TerminateGrace))
                {
                    LogKilling(_name, _child.Id);
                    _child.Kill();
                    await _child.Exited;
                }
            }

            // What else of the group is left may hold a full pipe open, and only its end ends the write.
            await EndGroupAsync();
            await Task.WhenAny(closing, Task.Delay(s_lastOutputTimeout, _time));
        }

        await EndGroupAsync();
        await Task.WhenAny(_errorDrained, Task.Delay(TimeSpan.FromMilliseconds(100), _time));
        ProxyMeter.ChildExited(await _child.Exited, wasAsked: !endsByItself);
        await _child.DisposeAsync();
    }

    private static string Describe(int code) => code > 128 ? $"signal {code - 128}" : $"code {code}";

    private async Task<bool> EndsWithinAsync(TimeSpan grace)
    {
        try
        {
            await _child!.Exited.WaitAsync(grace, _time);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Ends what the child left running in its group; there is no event for that, so it is asked for until the grace is over.</summary>
    private async Task EndGroupAsync()
    {
        if (!_child!.GroupIsAlive)
        {
            return;
        }

        _child.Terminate();
        var started = _time.GetTimestamp();
        while (_child.GroupIsAlive)
        {
            if (_time.GetElapsedTime(started) > _options.TerminateGrace)
            {
                LogKilling(_name, _child.Id);
                _child.Kill();
                return;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10), _time);
        }
    }

    private async Task ReadAsync(Stream output, IMessageReceiver receiver, CancellationToken cancellationToken)
    {
        // Leaves the caller's thread at once: the receiver may do much before the first wait.
        await Task.Yield();
        using var lines = new LineBuffer(_options.MaxMessageSize);
        Action<ReadOnlyMemory<byte>> skipNoise = SkipNoise;
        try
        {
            int count;
            do
            {
                count = await output.ReadAsync(lines.Free(), cancellationToken);
                lines.Filled(count);
                Interlocked.Increment(ref _reads);
                _isDelivering = true;
                while (count > 0 ? lines.TryTake(out var line, out var fault) : lines.TryTakeRest(out line, out fault))
                {
                    await MessageDispatcher.DispatchAsync(line, fault, receiver, skipNoise, cancellationToken);
                }

                _isDelivering = false;
            }
            while (count > 0);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or ObjectDisposedException)
        {
            // Closed by us, or the pipe broke with its writer: either way there is nothing more to read.
            LogReadEnded(_name, e.Message);
        }
    }

    /// <summary>Servers print banners and logs to standard output, against the rules; that must not end a session.</summary>
    private void SkipNoise(ReadOnlyMemory<byte> line) => LogNoise(_name, Encoding.UTF8.GetString(line.Span[..Math.Min(line.Length, 200)]));

    private async Task DrainErrorAsync(Stream error)
    {
        await Task.Yield();
        using var lines = new LineBuffer(MaxErrorLine);
        try
        {
            int count;
            do
            {
                count = await error.ReadAsync(lines.Free());
                lines.Filled(count);
                while (count > 0 ? lines.TryTake(out var line, out var fault) : lines.TryTakeRest(out line, out fault))
                {
                    KeepErrorLine(fault is null ? Encoding.UTF8.GetString(line.Span) : $"(a line longer than {MaxErrorLine} bytes)");
                }
            }
            while (count > 0);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            LogReadEnded(_name, e.Message);
        }
    }

    private void KeepErrorLine(string line)
    {
        lock (_lastErrorLines)
        {
            _lastErrorLines.Enqueue(line);
            while (_lastErrorLines.Count > KeptErrorLines)
            {
                _lastErrorLines.Dequeue();
            }
        }

        _logErrorLine(line);
    }

    private string LastErrorLines()
    {
        lock (_lastErrorLines)
        {
            return _lastErrorLines.Count == 0 ? "" : $"; its last output: {string.Join(" | ", _lastErrorLines)}";
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Started {Name} (process {Id})")]
    private partial void LogStarted(string name, int id);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Name} (process {Id}) has not ended by itself: sending SIGTERM to its group")]
    private partial void LogTerminating(string name, int id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} (process {Id}) did not end when asked: killing its group")]
    private partial void LogKilling(string name, int id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} wrote a line that is no JSON-RPC message to its standard output; skipped: {Line}")]
    private partial void LogNoise(string name, string line);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Reading from {Name} ended: {Reason}")]
    private partial void LogReadEnded(string name, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "[{Name}] {Line}")]
    private static partial void LogErrorLine(ILogger logger, string name, string line);
}
