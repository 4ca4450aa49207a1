namespace McpProxy.Transports.Stdio;

/// <summary>How to start a stdio server.</summary>
public sealed class StdioUpstreamOptions
{
    /// <summary>The program: a path, or a name looked up in <c>PATH</c>. It is started without a shell.</summary>
    public required string Command { get; init; }

    /// <summary>Its arguments, passed on verbatim.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Variables added to the child's environment.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>
    /// Whether the child inherits the whole environment. Otherwise it gets <see cref="ChildEnvironment.Inherited"/> and
    /// <see cref="Environment"/>, so that secrets of this process stay here. Default: false.
    /// </summary>
    public bool PassEnvironment { get; init; }

    /// <summary>The child's working directory; this process's own when null.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>The longest message accepted from the child, in bytes.</summary>
    public int MaxMessageSize { get; init; } = TransportDefaults.MaxMessageSize;

    /// <summary>How long the child may take to leave after its input was closed, before it is asked with SIGTERM. Default: 1.5 s.</summary>
    public TimeSpan CloseGrace { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>How long it may take after SIGTERM, before its whole process group is killed. Default: 1.5 s.</summary>
    public TimeSpan TerminateGrace { get; init; } = TimeSpan.FromSeconds(1.5);

    internal StdioUpstreamOptions With(IReadOnlyDictionary<string, string> environment) => new()
    {
        Command = Command,
        Arguments = Arguments,
        Environment = new Dictionary<string, string>(Environment.Where(variable => !environment.ContainsKey(variable.Key)).Concat(environment), StringComparer.Ordinal),
        PassEnvironment = PassEnvironment,
        WorkingDirectory = WorkingDirectory,
        MaxMessageSize = MaxMessageSize,
        CloseGrace = CloseGrace,
        TerminateGrace = TerminateGrace,
    };
}
