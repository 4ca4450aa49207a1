using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Transports.Stdio;

/// <summary>Keeps servers started in advance, so that a new session does not wait for one to start.</summary>
/// <remarks>
/// A spare that ends before its time is not replaced until the next session comes: a command that cannot stay alive is not started
/// over and over for nobody.
/// </remarks>
public sealed partial class WarmUpstream : IUpstream, IAsyncDisposable
{
    private readonly IUpstream _upstream;
    private readonly int _count;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly Queue<IConnection> _spares = new();
    private Task _filling;
    private bool _isFilling = true;
    private bool _closed;

    /// <summary>Starts the first spares.</summary>
    /// <param name="upstream">Starts servers.</param>
    /// <param name="count">How many spares to keep.</param>
    /// <param name="logger">Where it logs.</param>
    public WarmUpstream(IUpstream upstream, int count, ILogger? logger = null)
    {
        _upstream = upstream;
        _count = count;
        _logger = logger ?? NullLogger.Instance;
        _filling = Task.Run(Fill);
    }

    /// <inheritdoc/>
    public string Name => _upstream.Name;

    /// <inheritdoc/>
    public IConnection Connect()
    {
        IConnection? spare;
        lock (_gate)
        {
            while (_spares.TryDequeue(out spare) && spare.Gone.IsCompleted)
            {
                Discard(spare);
            }

            if (!_closed && !_isFilling)
            {
                _isFilling = true;
                using (ExecutionContext.SuppressFlow())
                {
                    _filling = Task.Run(Fill);
                }
            }
        }

        return spare ?? _upstream.Connect();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Task filling;
        lock (_gate)
        {
            _closed = true;
            filling = _filling;
        }

        await filling;
        List<IConnection> spares;
        lock (_gate)
        {
            spares = [.. _spares];
            _spares.Clear();
        }

        await Task.WhenAll(spares.Select(spare => spare.DisposeAsync().AsTask()));
    }

    private void Fill()
    {
        while (true)
        {
            lock (_gate)
            {
                if (_closed || _spares.Count >= _count)
                {
                    // Said under the lock: who takes a spare from now on has it replaced.
                    _isFilling = false;
                    return;
                }
            }

            var spare = _upstream.Connect();
            if (spare.Gone.IsCompleted)
            {
                // The session that comes next is told why.
                Discard(spare);
                lock (_gate)
                {
                    _isFilling = false;
                }

                return;
            }

            lock (_gate)
            {
                _spares.Enqueue(spare);
            }
        }
    }

    private void Discard(IConnection spare)
    {
        LogEnded(Name);
        _ = spare.DisposeAsync().AsTask();
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name}, started in advance, ended before it was used")]
    private partial void LogEnded(string name);
}
