namespace McpProxy.SideBySide;

/// <summary>What the command line says.</summary>
internal sealed record HarnessOptions
{
    /// <summary>The repository.</summary>
    public required string Root { get; init; }

    /// <summary>The native program.</summary>
    public required string Proxy { get; init; }

    /// <summary>Where results go.</summary>
    public required string Output { get; init; }

    /// <summary>Few rounds, no peers from npm, and the budgets decide about the exit code.</summary>
    public bool Short { get; init; }

    /// <summary>Scenarios to run, by the start of their names; all when empty.</summary>
    public IReadOnlyList<string> Only { get; init; } = [];

    /// <summary>Peers to run; all when empty.</summary>
    public IReadOnlyList<string> PeerIds { get; init; } = [];

    /// <summary>Rounds in place of each scenario's own number.</summary>
    public int? Rounds { get; init; }

    /// <summary>A result to write the tables and check the budgets of, in place of a run.</summary>
    public string? From { get; init; }

    /// <summary>What the micro-benchmarks measured, with `bench/run` in front.</summary>
    public string? Allocations { get; init; }

    public string CertificateAuthority => Path.Combine(Root, "artifacts", "bench", "tls", "ca.pem");

    public string Certificate => Path.Combine(Root, "artifacts", "bench", "tls", "server.pem");

    public string Key => Path.Combine(Root, "artifacts", "bench", "tls", "server.key");

    /// <summary>One of the programs written in C.</summary>
    public string Program(string name) => Path.Combine(Root, "artifacts", "bench", name);

    /// <exception cref="FormatException">A word is not understood.</exception>
    public static HarnessOptions Parse(string root, IReadOnlyList<string> words)
    {
        var options = new HarnessOptions
        {
            Root = root,
            Proxy = Path.Combine(root, "artifacts", "mcp-proxy"),
            Output = Path.Combine(root, "artifacts", "bench", "results"),
        };
        for (var i = 0; i < words.Count; i++)
        {
            var word = words[i];
            if (word == "--short")
            {
                options = options with { Short = true };
                continue;
            }

            if (++i == words.Count)
            {
                throw new FormatException($"unknown option {word}, or its value is missing");
            }

            var value = words[i];
            options = word switch
            {
                "--proxy" => options with { Proxy = Path.GetFullPath(value) },
                "--output" => options with { Output = Path.GetFullPath(value) },
                "--only" => options with { Only = value.Split(',') },
                "--peers" => options with { PeerIds = value.Split(',') },
                "--rounds" => options with { Rounds = int.Parse(value) },
                "--from" => options with { From = Path.GetFullPath(value) },
                "--allocations" => options with { Allocations = Path.GetFullPath(value) },
                _ => throw new FormatException($"unknown option {word}"),
            };
        }

        return options;
    }
}
