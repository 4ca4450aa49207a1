namespace McpProxy.Cli;

/// <summary>What the program exits with, besides a child's own code where the child's exit ends it.</summary>
internal static class ExitCode
{
    /// <summary>It did what it was asked to.</summary>
    public const int Success = 0;

    /// <summary>It could not: the server could not be started or reached, the port is in use.</summary>
    public const int Failure = 1;

    /// <summary>The command line is wrong.</summary>
    public const int Usage = 2;
}
