using System.Text;

namespace McpProxy.Transports.Stdio;

/// <summary>
/// Writes the command line with which the Windows command processor runs a batch file (<c>npx.cmd</c>) and hands it its
/// arguments verbatim, whatever characters they have.
/// </summary>
internal static class BatchCommandLine
{
    /// <summary>The arguments for <c>cmd.exe</c>.</summary>
    /// <exception cref="ChildStartException">An argument has a character that no quoting can carry: a line break or NUL.</exception>
    public static string Build(string file, IReadOnlyList<string> arguments)
    {
        // /d: no AutoRun; /e:on: extensions, for the substring below; /v:off: "!" means itself; /s: strip just the outer quotes.
        var line = new StringBuilder("/d /e:on /v:off /s /c \"");
        Append(line, file);
        foreach (var argument in arguments)
        {
            line.Append(' ');
            Append(line, argument);
        }

        return line.Append('"').ToString();
    }

    private static void Append(StringBuilder line, string argument)
    {
        if (argument.AsSpan().IndexOfAny("\0\r\n") >= 0)
        {
            throw new ChildStartException("a line break or NUL in an argument cannot be passed to a batch file");
        }

        line.Append('"');
        var backslashes = 0;
        foreach (var c in argument)
        {
            if (c == '"')
            {
                // The program behind the batch file parses backslashes before a quote; the command processor wants the quote doubled.
                line.Append('\\', backslashes).Append("\"\"");
            }
            else if (c == '%')
            {
                // An empty substring of a variable that always exists: it keeps %NAME% from being expanded.
                line.Append("%%cd:~,%");
            }
            else
            {
                line.Append(c);
            }

            backslashes = c == '\\' ? backslashes + 1 : 0;
        }

        line.Append('\\', backslashes).Append('"');
    }
}
