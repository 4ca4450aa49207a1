namespace McpProxy.Transports.Stdio;

/// <summary>Finds the file that a command names, as a shell would, without one.</summary>
internal static class CommandResolver
{
    /// <summary>The full path of a command's file; null when there is none.</summary>
    /// <param name="command">A path, or a name to look up.</param>
    /// <param name="environment">The environment whose <c>PATH</c> (and, on Windows, <c>PATHEXT</c>) counts.</param>
    public static string? Resolve(string command, IReadOnlyDictionary<string, string> environment)
    {
        var isPath = command.Contains('/', StringComparison.Ordinal)
            || (OperatingSystem.IsWindows() && (command.Contains('\\', StringComparison.Ordinal) || command.Contains(':', StringComparison.Ordinal)));
        if (isPath)
        {
            return WithExtension(Path.GetFullPath(command), environment);
        }

        var path = environment.TryGetValue("PATH", out var value) ? value : "";
        return path.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => WithExtension(Path.Combine(folder.Trim('"'), command), environment))
            .FirstOrDefault(file => file is not null);
    }

    private static string? WithExtension(string file, IReadOnlyDictionary<string, string> environment)
    {
        if (!OperatingSystem.IsWindows())
        {
            return IsExecutable(file) ? Path.GetFullPath(file) : null;
        }

        if (Path.HasExtension(file) && File.Exists(file))
        {
            return file;
        }

        // npm installs `npx` as a shell script and `npx.cmd` beside it: only the one with an extension can be run.
        var extensions = environment.TryGetValue("PATHEXT", out var value) ? value : ".COM;.EXE;.BAT;.CMD";
        return extensions.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(extension => file + extension.ToLowerInvariant()).FirstOrDefault(File.Exists);
    }

    private static bool IsExecutable(string file)
    {
        const UnixFileMode Executable = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        return OperatingSystem.IsWindows() || (File.Exists(file) && (File.GetUnixFileMode(file) & Executable) != 0);
    }
}
