using System.Text;

namespace McpProxy.Cli.SignIn;

/// <summary>
/// Blots secrets out of the command line that other processes of the machine can read (<c>/proc/PID/cmdline</c>). Linux lets a
/// process write there; elsewhere a secret is best given by a file or a variable.
/// </summary>
internal static class CommandLineEraser
{
    private const int ArgumentsStart = 45;
    private const int ArgumentsEnd = 46;

    public static unsafe void Erase(IEnumerable<string> secrets)
    {
        var texts = secrets.Where(secret => secret.Length > 0).Select(Encoding.UTF8.GetBytes).ToList();
        if (texts.Count == 0 || !OperatingSystem.IsLinux() || !TryFindArguments(out var start, out var length))
        {
            return;
        }

        var arguments = new Span<byte>((void*)start, length);
        foreach (var text in texts)
        {
            while (arguments.IndexOf(text) is >= 0 and var at)
            {
                arguments.Slice(at, text.Length).Fill((byte)'x');
                if (text.AsSpan().IndexOfAnyExcept((byte)'x') < 0)
                {
                    break;
                }
            }
        }
    }

    private static bool TryFindArguments(out nint start, out int length)
    {
        start = 0;
        length = 0;
        try
        {
            // The fields after the program's name, which may itself have spaces and brackets.
            var stat = File.ReadAllText("/proc/self/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            if (fields.Length <= ArgumentsEnd || !nint.TryParse(fields[ArgumentsStart], out start) || !nint.TryParse(fields[ArgumentsEnd], out var end))
            {
                return false;
            }

            length = (int)(end - start);
            return start != 0 && length > 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
