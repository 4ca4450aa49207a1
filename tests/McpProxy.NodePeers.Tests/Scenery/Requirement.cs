using Xunit;

namespace McpProxy.NodePeers.Tests.Scenery;

/// <summary>Programs that a machine may lack: tests that need one are skipped there, but never in continuous integration.</summary>
internal static class Requirement
{
    private static readonly bool s_isContinuousIntegration = Environment.GetEnvironmentVariable("CI") == "true";

    /// <summary>Skips or fails the test, unless what it needs is there.</summary>
    /// <param name="found">Whether it is there.</param>
    /// <param name="remedy">What is missing and how to get it.</param>
    public static void Need(bool found, string remedy)
    {
        if (found)
        {
            return;
        }

        if (s_isContinuousIntegration)
        {
            Assert.Fail(remedy);
        }

        Assert.Skip(remedy);
    }

    /// <summary>Where a program lies that is started by its bare name; null when it is not on the path.</summary>
    public static string? FindProgram(string name, params IEnumerable<string> alsoIn)
    {
        var file = OperatingSystem.IsWindows() ? $"{name}.exe" : name;
        var directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        return directories.Concat(alsoIn).Select(directory => Path.Combine(directory, file)).FirstOrDefault(File.Exists);
    }
}
