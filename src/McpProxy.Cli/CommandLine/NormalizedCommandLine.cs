namespace McpProxy.Cli.CommandLine;

/// <summary>
/// A command line in our own spellings, with what is to be proxied taken out of it. Options may stand anywhere before the
/// command that is to be started; from there on every word is the command's.
/// </summary>
/// <param name="Options">Our options and their values.</param>
/// <param name="Url">The server's URL, if one was given.</param>
/// <param name="Command">The command and its arguments, if one was given.</param>
internal sealed record NormalizedCommandLine(IReadOnlyList<string> Options, string? Url, IReadOnlyList<string>? Command)
{
    public const string StdioMarker = "\0stdio";
    public const string UrlMarker = "\0url";
    public const string OutputMarker = "\0output";
    public const string ShellMarker = "\0shell";

    /// <summary>The port of a program whose users expect one without saying so.</summary>
    private const string ImpliedPort = "8000";

    /// <summary>The word that asks for something about sign-ins (<c>login</c>, <c>logout</c>, <c>status</c>, <c>reset</c>); null to proxy.</summary>
    public string? Verb { get; init; }

    /// <summary>A word of the command that is one of our own options: most likely it was meant for us.</summary>
    public string? Misplaced { get; init; }

    /// <exception cref="UsageException">An option is unknown, refused or lacks its value.</exception>
    public static NormalizedCommandLine Of(IReadOnlyList<string> words)
    {
        var options = new List<string>();
        string? url = null;
        List<string>? command = null;
        string? output = null;
        string? misplaced = null;
        string? verb = null;
        var inShell = false;
        var at = 0;
        while (at < words.Count && command is null)
        {
            var word = words[at++];
            if (word == "--")
            {
                command = [.. words.Skip(at)];
            }
            else if (word.Length > 1 && word[0] == '-')
            {
                Take(Option(words, word, ref at));
            }
            else if (IsUrl(word))
            {
                url = url is null ? word : throw new UsageException($"two URLs are given, {url} and {word}; one server at a time");
            }
            else if (url is not null)
            {
                // mcp-remote takes the port that the browser comes back to here.
                if (!ushort.TryParse(word, out _))
                {
                    throw new UsageException($"\"{word}\" after the URL means nothing; to start a command, leave the URL out");
                }

                options.AddRange(["--callback-port", word]);
            }
            else if (verb is null && word is "login" or "logout" or "status" or "reset")
            {
                verb = word;
            }
            else
            {
                // "command -- args": the separator stood before the arguments instead of the command.
                command = [word, .. words.Skip(at < words.Count && words[at] == "--" ? at + 1 : at)];
                misplaced = command.Skip(1).FirstOrDefault(OptionTable.Spellings.Where(entry => entry.Value.IsCanonical).Select(entry => entry.Key).Contains);
            }
        }

        if (command is { Count: 0 })
        {
            throw new UsageException("no command follows \"--\"");
        }

        if (url is not null && command is not null)
        {
            throw new UsageException("a URL and a command are given; one server at a time");
        }

        if (inShell && command is not null)
        {
            // Asked for in so many words: what follows is shell syntax, not a program and its arguments.
            var script = string.Join(' ', command);
            command = OperatingSystem.IsWindows() ? ["cmd.exe", "/d", "/s", "/c", script] : ["/bin/sh", "-c", script];
        }

        if (output == "http" && !options.Contains("--port"))
        {
            options.AddRange(["--port", ImpliedPort]);
        }

        if (verb is not null && (command is not null || (url is not null) != (verb is "login" or "logout")))
        {
            throw new UsageException(verb is "login" or "logout" ? $"\"{verb}\" takes the URL of a server: mcp-proxy {verb} https://example.com/mcp" : $"\"{verb}\" takes no server; to start a program of that name, write: -- {verb}");
        }

        return new(options, url, command) { Misplaced = misplaced, Verb = verb };

        void Take(string[] rewritten)
        {
            for (var i = 0; i < rewritten.Length; i++)
            {
                switch (rewritten[i])
                {
                    case StdioMarker:
                        command = SplitWords(rewritten[++i]);
                        output ??= "http";

                        // Its options may follow.
                        while (at < words.Count)
                        {
                            Take(Option(words, words[at++], ref at));
                        }

                        break;
                    case UrlMarker:
                        url = rewritten[++i];
                        break;
                    case OutputMarker:
                        output = rewritten[++i];
                        break;
                    case ShellMarker:
                        inShell = true;
                        break;
                    default:
                        options.Add(rewritten[i]);
                        break;
                }
            }
        }
    }

    public static bool IsUrl(string word) =>
        word.StartsWith("http://", StringComparison.OrdinalIgnoreCase) || word.StartsWith("https://", StringComparison.OrdinalIgnoreCase);

    private static string[] Option(IReadOnlyList<string> words, string word, ref int at)
    {
        var equals = word.IndexOf('=', StringComparison.Ordinal);
        var name = equals > 0 ? word[..equals] : word;
        if (!OptionTable.Spellings.TryGetValue(name, out var spelling))
        {
            throw new UsageException(Nearest(name) is { } nearest ? $"unknown option {name}; did you mean {nearest}?" : $"unknown option {name}; see --help, and put a command's own options after \"--\"");
        }

        if (spelling.Refusal is { } refusal)
        {
            throw new UsageException($"{name} is refused: {refusal}");
        }

        var values = new List<string>();
        if (equals > 0)
        {
            values.Add(word[(equals + 1)..]);
        }

        if (spelling.IsGreedy && words.Skip(at).Contains("--"))
        {
            while (words[at][0] is not '-')
            {
                values.Add(words[at++]);
            }
        }

        while (values.Count < spelling.Values && !(values.Count == 1 && spelling.IsWholePair?.Invoke(values[0]) == true))
        {
            if (at == words.Count || (spelling.ValueIsOptional && words[at].StartsWith('-')))
            {
                if (spelling.ValueIsOptional)
                {
                    break;
                }

                throw new UsageException(spelling.Values == 2 ? $"{name} takes two values: KEY VALUE" : $"{name} needs a value");
            }

            values.Add(words[at++]);
        }

        if (values.Count > spelling.Values && !spelling.IsGreedy)
        {
            if (spelling.Values == 0 && values is ["true" or "false"])
            {
                return values[0] == "true" ? spelling.Rewrite([]) : [];
            }

            throw new UsageException($"{name} takes no value");
        }

        return spelling.Rewrite([.. values]);
    }

    private static string? Nearest(string name)
    {
        var (nearest, distance) = OptionTable.Spellings.Values
            .Where(spelling => spelling.IsCanonical && spelling.Name.StartsWith("--", StringComparison.Ordinal))
            .Select(spelling => (spelling.Name, Distance: Distance(name, spelling.Name)))
            .MinBy(candidate => candidate.Distance);
        return distance <= Math.Max(2, name.Length / 4) ? nearest : null;
    }

    /// <summary>How many characters must be added, removed, changed or swapped to make one word the other.</summary>
    private static int Distance(string left, string right)
    {
        var rows = new int[left.Length + 1, right.Length + 1];
        for (var i = 0; i <= left.Length; i++)
        {
            for (var j = 0; j <= right.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    rows[i, j] = i + j;
                    continue;
                }

                var change = left[i - 1] == right[j - 1] ? 0 : 1;
                rows[i, j] = Math.Min(Math.Min(rows[i - 1, j] + 1, rows[i, j - 1] + 1), rows[i - 1, j - 1] + change);
                if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1])
                {
                    rows[i, j] = Math.Min(rows[i, j], rows[i - 2, j - 2] + 1);
                }
            }
        }

        return rows[left.Length, right.Length];
    }

    /// <summary>Splits a command that came as one word into its words, by the quoting rules of a shell and without any other of its syntax.</summary>
    internal static List<string> SplitWords(string text)
    {
        var words = new List<string>();
        var word = new System.Text.StringBuilder();
        var inWord = false;
        var quote = '\0';
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (quote != '\0')
            {
                if (c == quote)
                {
                    quote = '\0';
                }
                else if (c == '\\' && quote == '"' && i + 1 < text.Length && (text[i + 1] is '"' or '\\' or '$'))
                {
                    word.Append(text[++i]);
                }
                else
                {
                    word.Append(c);
                }
            }
            else if (c is '\'' or '"')
            {
                (quote, inWord) = (c, true);
            }
            else if (c == '\\' && i + 1 < text.Length && !OperatingSystem.IsWindows())
            {
                word.Append(text[++i]);
                inWord = true;
            }
            else if (char.IsWhiteSpace(c))
            {
                if (inWord)
                {
                    words.Add(word.ToString());
                    word.Clear();
                    inWord = false;
                }
            }
            else
            {
                word.Append(c);
                inWord = true;
            }
        }

        if (quote != '\0')
        {
            throw new UsageException($"a quote is not closed in: {text}");
        }

        if (inWord)
        {
            words.Add(word.ToString());
        }

        return words;
    }
}
