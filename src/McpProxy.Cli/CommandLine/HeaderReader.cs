using System.Text;
using McpProxy.Transports.StreamableHttp;

namespace McpProxy.Cli.CommandLine;

/// <summary>Reads the headers that are sent to the server. Values never appear in an error.</summary>
internal static class HeaderReader
{
    /// <summary>The headers of <c>--header</c> options and header files, with <c>${NAME}</c> replaced from the environment.</summary>
    /// <exception cref="UsageException">A header is malformed, a variable is not set, a file cannot be read.</exception>
    public static IReadOnlyList<KeyValuePair<string, string>> Read(IEnumerable<string> headers, IEnumerable<string> files, Func<string, string?> environment)
    {
        var result = headers.Select(header => Parse(header, "--header", environment)).ToList();
        foreach (var file in files)
        {
            result.AddRange(ReadFile(file).Select((line, index) => (Line: line.Trim(), Where: $"{file}, line {index + 1}"))
                .Where(entry => entry.Line.Length > 0 && entry.Line[0] != '#')
                .Select(entry => Parse(entry.Line, entry.Where, environment)));
        }

        return result;
    }

    /// <summary>Headers as they were typed, before variables are replaced.</summary>
    public static IReadOnlyList<KeyValuePair<string, string>> AsTyped(IEnumerable<string> headers) =>
        [.. headers.Select(header => header.Split(':', 2)).Where(parts => parts.Length == 2).Select(parts => new KeyValuePair<string, string>(parts[0].Trim(), parts[1].Trim()))];

    private static string[] ReadFile(string file)
    {
        try
        {
            return File.ReadAllLines(file, Encoding.UTF8);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"--header-file cannot be read: {e.Message}");
        }
    }

    private static KeyValuePair<string, string> Parse(string header, string where, Func<string, string?> environment)
    {
        var colon = header.IndexOf(':', StringComparison.Ordinal);
        var name = colon < 0 ? header : header[..colon].Trim();
        if (colon < 0 || !McpHeaders.IsToken(name))
        {
            throw new UsageException($"{where}: a header is written \"Name: value\"");
        }

        var value = Expand(header[(colon + 1)..].Trim(), $"{where}: {name}", environment);
        return value.AsSpan().IndexOfAny("\r\n\0") < 0
            ? new(name, value)
            : throw new UsageException($"{where}: the value of {name} has a line break or NUL in it");
    }

    /// <summary>The value with <c>${NAME}</c> replaced from the environment.</summary>
    /// <exception cref="UsageException">A variable is not set.</exception>
    internal static string Expand(string value, string where, Func<string, string?> environment)
    {
        var result = new StringBuilder();
        for (var at = 0; ;)
        {
            var start = value.IndexOf("${", at, StringComparison.Ordinal);
            var end = start < 0 ? -1 : value.IndexOf('}', start);
            if (end < 0)
            {
                return result.Append(value, at, value.Length - at).ToString();
            }

            var name = value[(start + 2)..end];
            result.Append(value, at, start - at)
                .Append(environment(name) ?? throw new UsageException($"{where} names the variable {name}, which is not set"));
            at = end + 1;
        }
    }
}
