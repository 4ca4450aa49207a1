using System.CommandLine;
using System.Globalization;
using McpProxy.AspNetCore;
using McpProxy.Relay;
using McpProxy.Transports.StreamableHttp;

namespace McpProxy.Cli.CommandLine;

/// <summary>The options about how sessions, requests and started servers belong together.</summary>
internal sealed class ServingOptions
{
    private readonly Option<string> _child = new("--child")
    {
        HelpName = "per-session|shared",
        Description = "Whether each session of a legacy client gets a server of its own, or all use one and are kept apart. Modern clients always share. Default: per-session",
    };

    private readonly Option<bool> _stateless = new("--stateless") { Description = "Give no session ids: each request stands for itself and is served by one of a few started servers" };
    private readonly Option<int> _statelessServers = ProxyCommand.Number("--stateless-servers", "How many servers at most --stateless starts, for each protocol version that clients speak", 4);
    private readonly Option<int> _warm = new("--warm")
    {
        HelpName = "N",
        Description = "Keep so many servers started in advance, so that a new session does not wait for one. Default: 0",
        CustomParser = result => ProxyCommand.Parsed(
            result, "--warm", "a number from 0 to 1000", int.TryParse(ProxyCommand.Word(result), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= 1000, number),
    };

    private readonly Option<bool> _exitWithChild = new("--exit-with-child") { Description = "End, with its exit code, when a started server ends by itself; without it, the next request starts it again" };
    private readonly Option<string[]> _headerToEnv = new("--header-to-env")
    {
        HelpName = "HEADER=NAME",
        Description = "Give this header of the client's request to the server it starts, as this environment variable. Repeatable",
    };

    private readonly Option<double> _requestTimeout = ProxyCommand.Seconds("--request-timeout", "Answer a request with an error when the server has been silent about it for so long; progress starts it anew; 0: no limit", 0);
    private readonly Option<double> _requestTimeoutMax = ProxyCommand.Seconds("--request-timeout-max", "How long a request may take with all its progress, where --request-timeout is set; 0: ten times that", 0);

    /// <summary>All of them, in the order of the help.</summary>
    public IEnumerable<Option> All => [_child, _stateless, _statelessServers, _warm, _exitWithChild, _headerToEnv, _requestTimeout, _requestTimeoutMax];

    /// <summary>Whether the program ends with a server that it has started.</summary>
    public bool ExitsWithChild(ParseResult parsed) => parsed.GetValue(_exitWithChild);

    /// <summary>How each relay behaves.</summary>
    public RelayOptions Relay(ParseResult parsed, TimeSpan drainTimeout)
    {
        var (timeout, most) = (parsed.GetValue(_requestTimeout), parsed.GetValue(_requestTimeoutMax));
        if (most > 0 && timeout == 0)
        {
            throw new UsageException("--request-timeout-max needs --request-timeout");
        }

        if (most > 0 && most < timeout)
        {
            throw new UsageException("--request-timeout-max must not be shorter than --request-timeout");
        }

        return new()
        {
            DrainTimeout = drainTimeout,
            RequestTimeout = timeout == 0 ? null : TimeSpan.FromSeconds(timeout),
            MaxRequestTime = most == 0 ? null : TimeSpan.FromSeconds(most),
        };
    }

    /// <summary>Sets what the options say about an endpoint.</summary>
    /// <param name="endpoint">The endpoint's options.</param>
    /// <param name="parsed">The command line.</param>
    /// <param name="isServed">Whether HTTP is served at all.</param>
    /// <param name="isCommand">Whether the server is a command.</param>
    public void Apply(McpEndpointOptions endpoint, ParseResult parsed, bool isServed, bool isCommand)
    {
        var given = All.Where(option => option != _requestTimeout && option != _requestTimeoutMax && parsed.GetResult(option) is { Implicit: false }).Select(option => option.Name).ToList();
        if (given.Count > 0 && !isServed)
        {
            throw new UsageException($"{given[0]} is for serving HTTP: it needs --port");
        }

        if (!isCommand && given.Find(name => name is not ("--stateless" or "--stateless-servers")) is { } needsCommand)
        {
            throw new UsageException($"{needsCommand} is for a command; with a URL nothing is started");
        }

        if (parsed.GetValue(_stateless) && parsed.GetResult(_child) is { Implicit: false })
        {
            throw new UsageException("--child says whose sessions share a server, and --stateless that there are none: give one of them");
        }

        endpoint.SessionMode = parsed.GetValue(_stateless) ? SessionMode.Stateless
            : parsed.GetValue(_child) == "shared" ? SessionMode.SharedServer
            : SessionMode.ServerPerSession;
        endpoint.StatelessServers = parsed.GetValue(_statelessServers);
        endpoint.WarmServers = parsed.GetValue(_warm);
        endpoint.HeaderEnvironment = HeaderEnvironment(parsed.GetValue(_headerToEnv) ?? []);
    }

    /// <summary>Names what the options accept.</summary>
    public void Restrict() => _child.AcceptOnlyFromAmong("per-session", "shared");

    private static Dictionary<string, string> HeaderEnvironment(string[] pairs)
    {
        var result = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var pair in pairs)
        {
            var equals = pair.IndexOf('=', StringComparison.Ordinal);
            var (header, variable) = equals < 0 ? (pair, "") : (pair[..equals].Trim(), pair[(equals + 1)..].Trim());
            if (!McpHeaders.IsToken(header) || variable.Length == 0 || variable.AsSpan().IndexOfAny("=\0 ") >= 0)
            {
                throw new UsageException($"--header-to-env takes HEADER=NAME, a header and the variable that it becomes, not \"{pair}\"");
            }

            if (!result.TryAdd(header, variable) || result.Values.Count(name => name == variable) > 1)
            {
                throw new UsageException($"--header-to-env names {header} or {variable} twice");
            }
        }

        return result;
    }
}
