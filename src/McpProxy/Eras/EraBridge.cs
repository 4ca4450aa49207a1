using McpProxy.Eras.ModernClient;
using McpProxy.JsonRpc;
using McpProxy.Relay.Sharing;
using McpProxy.Transports;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Eras;

/// <summary>
/// Makes one server look to each client like a server of the client's own era (MCP 2026-07-28, "Versioning and
/// Compatibility"). A client that shares an era with the server is connected to it as if this were not there.
/// </summary>
public sealed partial class EraBridge : IPrincipalUpstream, IAsyncDisposable
{
    private readonly IUpstream _upstream;
    private readonly IFrontedUpstream? _fronted;
    private readonly BridgeContext _context;
    private readonly LegacySessionPool _sessions;
    private readonly SharedUpstream? _shared;
    private readonly HandedOver _firstShared;
    private readonly ServerStarts _starts;
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private Task<ProbeOutcome>? _probing;
    private Task _ending = Task.CompletedTask;
    private int _disposed;

    /// <summary>Makes a bridge to a server. Nothing is sent before a client is there.</summary>
    /// <param name="upstream">The server.</param>
    /// <param name="options">Bounds, and what is known already; the defaults when null.</param>
    /// <param name="time">The clock of the bounds.</param>
    /// <param name="loggers">Where logs go.</param>
    public EraBridge(IUpstream upstream, EraBridgeOptions? options = null, TimeProvider? time = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(upstream);
        options ??= new();
        _fronted = upstream as IFrontedUpstream;
        _upstream = upstream = _fronted is null ? upstream : new DirectUpstream(_fronted);
        var logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("bridge");
        time ??= TimeProvider.System;
        var facts = new EraFacts(options.Upstream);
        _context = new(upstream, options, facts, new(upstream, facts, time, logger), time, logger);
        _sessions = new(_context);
        _context.Doubt.Replaced = _sessions.Retire;
        _starts = new(upstream.Name, time, logger);
        _firstShared = new(new ProbedUpstream(_context, _starts));
        _shared = !upstream.StartsServer ? null : new SharedUpstream(_firstShared, logger);
    }

    /// <inheritdoc/>
    public string Name => _upstream.Name;

    /// <inheritdoc/>
    public bool StartsServer => _upstream.StartsServer;

    /// <summary>Legacy sessions that serve modern clients now.</summary>
    public int SessionCount => _sessions.Count;

    /// <summary>Calls that wait now for input that a modern client was asked for.</summary>
    public int WaitingCallCount => _sessions.Waiting.Count;

    /// <summary>Makes a connection for a client that stays: one on standard input and output, or a session over HTTP.</summary>
    public IConnection Connect()
    {
        var connection = new EraConnection(_context, _sessions, new OpenConnection(_upstream.Connect()), principal: null);
        return _fronted?.Front(connection) ?? connection;
    }

    /// <inheritdoc/>
    public IConnection Connect(string? principal) =>
        !_context.Facts.IsModern || _context.Options.Downstream == EraChoice.Legacy
            ? new EraConnection(_context, _sessions, this, principal)
            : ConnectModern();

    /// <summary>Ends a server that modern clients share if none has used it for a while; the next request starts another.</summary>
    public async ValueTask CloseWhenIdleAsync(TimeSpan idle)
    {
        if (_shared is not null)
        {
            await _shared.CloseWhenIdleAsync(idle);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _closing.CancelAsync();
        if (_probing is { } probing)
        {
            await ((Task)probing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        await _ending;
        await (_shared?.DisposeAsync() ?? ValueTask.CompletedTask);
        await _firstShared.DisposeAsync();
        await _sessions.DisposeAsync();
        _closing.Dispose();
    }

    /// <summary>A connection that carries modern requests as they are.</summary>
    internal IConnection ConnectModern() =>
        _shared is not null ? _shared.Connect() : _context.Doubt.IsPossible ? new WatchedConnection(_upstream.Connect(), _context.Doubt) : _upstream.Connect();

    /// <summary>Finds out which era a server speaks that takes all modern requests on one connection; once for all who want to know at the same time.</summary>
    /// <param name="first">The request of whoever wants to know first.</param>
    /// <param name="principal">Who that is.</param>
    internal Task<ProbeOutcome> ProbeAsync(JsonRpcMessage first, string? principal)
    {
        lock (_gate)
        {
            return _probing is null or { IsCompleted: true } ? _probing = ProbeOnceAsync(first, principal) : _probing;
        }
    }

    private async Task<ProbeOutcome> ProbeOnceAsync(JsonRpcMessage first, string? principal)
    {
        // Started under the lock.
        await Task.Yield();
        if (_context.Facts.IsModern || _context.Facts.IsLegacyOnly)
        {
            return new(_context.Facts.IsModern ? ProbeVerdict.Modern : ProbeVerdict.Legacy);
        }

        await _starts.PauseAsync(_closing.Token);
        var connection = new OpenConnection(_upstream.Connect());
        try
        {
            var outcome = await new ChildSearch(_context, _sessions).AskAsync(connection, EraProbe.Question, next: null, first, principal, _closing.Token);
            LogProbed(_context.Logger, Name, outcome.Verdict);
            _ = NoteEndAsync(connection);
            switch (outcome.Verdict)
            {
                case ProbeVerdict.Modern:
                    _context.Facts.LearnModern();
                    await _firstShared.OfferAsync(connection);
                    return outcome;
                case ProbeVerdict.Legacy:
                    await _sessions.OfferAsync(connection);
                    return outcome;
            }

            // A child that has fallen silent, or is gone, is started afresh; and may take its time to end.
            _ending = connection.DisposeAsync().AsTask();
            return outcome;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private async Task NoteEndAsync(OpenConnection connection) => _starts.Ended(await connection.Ended);

    [LoggerMessage(Level = LogLevel.Debug, Message = "{Name} was asked which era it speaks: {Verdict}")]
    private static partial void LogProbed(ILogger logger, string name, ProbeVerdict verdict);
}
