using McpProxy.Transports.Polling;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Transports.Stdio;

/// <summary>A stdio server that is started as a child, one for each connection.</summary>
/// <param name="options">What to start, and how.</param>
/// <param name="time">The clock of the graces.</param>
/// <param name="loggers">Where logs go; the child's standard error goes to the category <c>child.stderr</c>.</param>
public sealed class StdioUpstream(StdioUpstreamOptions options, TimeProvider? time = null, ILoggerFactory? loggers = null) : IUpstream
{
    /// <summary>The loops that the children's pipes are put on; the runtime's own engine looks after them when null.</summary>
    internal EventLoops? Loops { get; init; }

    /// <inheritdoc/>
    public string Name => Path.GetFileName(options.Command);

    /// <summary>The same server with more variables in its environment; of equal names the new one counts.</summary>
    public StdioUpstream With(IReadOnlyDictionary<string, string> environment) => new(options.With(environment), time, loggers) { Loops = Loops };

    /// <summary>Why the server cannot be started, as far as that can be told without starting it; null when nothing is known against it.</summary>
    internal string? StartProblem => ChildProcess.ProblemOf(options);

    /// <inheritdoc/>
    public IConnection Connect() => new ChildProcessConnection(options, Loops, time ?? TimeProvider.System, loggers ?? NullLoggerFactory.Instance);
}
