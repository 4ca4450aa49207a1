using McpProxy.Transports.Polling;

namespace McpProxy.Transports.Stdio;

/// <summary>A started child and everything that it starts in turn.</summary>
internal abstract class ChildProcess : IAsyncDisposable
{
    /// <summary>The child's process id.</summary>
    public abstract int Id { get; }

    /// <summary>Written to by us.</summary>
    public abstract Stream Input { get; }

    /// <summary>Read by us.</summary>
    public abstract Stream Output { get; }

    /// <summary>Read by us.</summary>
    public abstract Stream Error { get; }

    /// <summary>Completes with the exit code when the child itself (not what it started) has exited.</summary>
    public abstract Task<int> Exited { get; }

    /// <summary>Whether anything of the child's group may still run.</summary>
    public abstract bool GroupIsAlive { get; }

    /// <summary>Asks the whole group to end.</summary>
    public abstract void Terminate();

    /// <summary>Ends the whole group, unasked.</summary>
    public abstract void Kill();

    public abstract ValueTask DisposeAsync();

    /// <summary>Starts a child in a process group (Windows: a job object) of its own, without a shell.</summary>
    /// <param name="options">What to start, and how.</param>
    /// <param name="loops">The loops that its pipes are put on; the runtime's own engine looks after them when null.</param>
    /// <exception cref="ChildStartException">It cannot be started.</exception>
    public static ChildProcess Start(StdioUpstreamOptions options, EventLoops? loops = null)
    {
        var environment = ChildEnvironment.For(options);
        var file = Find(options, environment);
        return OperatingSystem.IsWindows()
            ? WindowsChildProcess.Start(file, options, environment)
            : PosixChildProcess.Start(file, options, environment, loops);
    }

    /// <summary>Why a child cannot be started, as far as that can be told without starting it; null when nothing is known against it.</summary>
    public static string? ProblemOf(StdioUpstreamOptions options)
    {
        try
        {
            _ = Find(options, ChildEnvironment.For(options));
            return null;
        }
        catch (ChildStartException e)
        {
            return e.Message;
        }
    }

    private static string Find(StdioUpstreamOptions options, Dictionary<string, string> environment)
    {
        var file = CommandResolver.Resolve(options.Command, environment)
            ?? throw new ChildStartException($"cannot start \"{options.Command}\": there is no such program. Check the spelling, or give its full path");
        if (options.WorkingDirectory is { } folder && !Directory.Exists(folder))
        {
            throw new ChildStartException($"cannot start \"{options.Command}\": the working directory \"{folder}\" does not exist");
        }

        return file;
    }
}
