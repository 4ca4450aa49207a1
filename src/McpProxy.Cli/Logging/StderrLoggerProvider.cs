using System.Threading.Channels;
using McpProxy.Cli.CommandLine;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.Logging;

/// <summary>
/// Writes log lines to standard error, from a thread of its own: whoever started us may not read them, and a full pipe must
/// not stop the relay. Lines that find no room are counted and left out.
/// </summary>
internal sealed class StderrLoggerProvider : ILoggerProvider, ILoggerFactory
{
    private const int Capacity = 4096;
    private static readonly TimeSpan s_flushTimeout = TimeSpan.FromMilliseconds(500);

    private readonly LogSettings _settings;
    private readonly Channel<string> _lines;
    private readonly Thread _writer;
    private readonly TimeProvider _time;
    private readonly LoggerExternalScopeProvider _scopes = new();
    private int _started;
    private long _leftOut;

    public StderrLoggerProvider(LogSettings settings, TimeProvider time)
    {
        _settings = settings;
        _time = time;
        _lines = Channel.CreateBounded<string>(
            new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true }, _ => Interlocked.Increment(ref _leftOut));
        _writer = new Thread(Write, 128 * 1024) { IsBackground = true, Name = "log" };
    }

    public ILogger CreateLogger(string categoryName) => new StderrLogger(this, categoryName);

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException("There is one provider: this one.");

    /// <summary>Writes what is left, if someone reads it.</summary>
    public void Dispose()
    {
        _lines.Writer.TryComplete();
        if (Volatile.Read(ref _started) == 1)
        {
            _writer.Join(s_flushTimeout);
        }
    }

    /// <summary>Whether a line is written. What a user has to do to sign in always is: without it nothing would work.</summary>
    public bool IsEnabled(LogLevel level, string category) =>
        level != LogLevel.None && (level >= _settings.Level || (level >= LogLevel.Warning && category == HttpUpstream.SignInCategory));

    public void Log(LogLevel level, string category, string message, LogFields fields, Exception? exception)
    {
        if (exception is not null)
        {
            message = $"{message}: {exception}";
        }

        WriteLine(_settings.IsJson ? LogLine.Json(_time.GetUtcNow(), level, category, message, fields) : LogLine.Text(level, category, message, fields));
    }

    private void WriteLine(string line)
    {
        if (Interlocked.Exchange(ref _started, 1) == 0)
        {
            _writer.Start();
        }

        _lines.Writer.TryWrite(line);
    }

    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "VSTHRD002", Justification = "This thread exists to block; nothing else runs on it.")]
    private void Write()
    {
        using var error = new StreamWriter(Console.OpenStandardError()) { AutoFlush = true, NewLine = "\n" };
        try
        {
            while (_lines.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
            {
                while (_lines.Reader.TryRead(out var line))
                {
                    error.WriteLine(line);
                }

                if (Interlocked.Exchange(ref _leftOut, 0) is > 0 and var count)
                {
                    error.WriteLine($"mcp-proxy: {count} log lines were left out: standard error was not read fast enough");
                }
            }
        }
        catch (IOException)
        {
            // Nobody reads standard error any more; there is nowhere left to say so.
        }
    }

    private sealed class StderrLogger(StderrLoggerProvider provider, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => provider._scopes.Push(state);

        public bool IsEnabled(LogLevel logLevel) => provider.IsEnabled(logLevel, category);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (provider.IsEnabled(logLevel, category))
            {
                provider.Log(logLevel, category, formatter(state, exception), LogFields.Of(provider._scopes, state), exception);
            }
        }
    }
}
