using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Globalization;
using McpProxy.AspNetCore;
using McpProxy.AspNetCore.Operations;
using McpProxy.Auth.Store;
using McpProxy.Relay;
using McpProxy.Transports;
using McpProxy.Transports.Http;
using McpProxy.Transports.Stdio;
using Microsoft.Extensions.Logging;

namespace McpProxy.Cli.CommandLine;

/// <summary>The program's options: what they are called, what they mean, and how they become settings.</summary>
internal sealed class ProxyCommand
{
    private readonly Option<string> _transport = new("--transport")
    {
        HelpName = "auto|sse|streamable-http|...",
        Description = "How the server behind a URL is reached: auto (= http-first: Streamable HTTP, then HTTP+SSE), sse-first, http-only (= streamable-http), sse-only (= sse). Clients of this proxy are always offered both. Default: auto",
    };

    private readonly Option<string[]> _headers = new("--headers", "-H") { HelpName = "KEY VALUE", Description = "A header for the server behind the URL. Repeatable" };
    private readonly Option<string[]> _header = new("--header") { HelpName = "K: V", Description = "The same in one word. ${NAME} is replaced from the environment" };
    private readonly Option<string[]> _headerFile = new("--header-file") { HelpName = "FILE", Description = "Headers from a file: \"Name: value\" lines, # comments" };
    private readonly Option<double> _connectTimeout = Seconds("--connect-timeout", "How long a server that is not there yet is tried again", 30);
    private readonly Option<double> _headersTimeout = Seconds("--headers-timeout", "How long a server may take to begin its answer; 0: no limit", 0);

    private readonly SignInOptions _signIn = new();
    private readonly ServingOptions _serving = new();
    private readonly AccessOptions _access = new();
    private readonly BridgeOptions _bridge = new();

    private readonly Option<string[]> _env = new("--env", "-e") { HelpName = "KEY VALUE", Description = "A variable for the command's environment (also KEY=VALUE). Repeatable" };
    private readonly Option<string> _cwd = new("--cwd") { HelpName = "DIR", Description = "The command's working directory" };
    private readonly Option<bool> _passEnvironment = new("--pass-environment") { Description = "Give the command the whole environment, not just PATH, HOME and the like" };

    private readonly Option<int?> _port = new("--port")
    {
        HelpName = "PORT",
        Description = "Serve HTTP on this port; 0: any free one. Without it, standard input and output are served",
        CustomParser = result => Parsed<int?>(result, "--port", "a number from 0 to 65535", ushort.TryParse(Word(result), NumberStyles.None, CultureInfo.InvariantCulture, out var port), port),
    };

    private readonly Option<string> _host = new("--host") { HelpName = "HOST", Description = "The address to serve on; other machines' only with a way to authenticate, or --no-auth. Default: 127.0.0.1" };
    private readonly Option<string> _path = PathOption("--path", "Path of Streamable HTTP", "/mcp");
    private readonly Option<string> _ssePath = PathOption("--sse-path", "Path of the HTTP+SSE event stream", "/sse");
    private readonly Option<string> _messagesPath = PathOption("--messages-path", "Path that HTTP+SSE clients post to", "/messages");
    private readonly Option<string> _baseUrl = new("--base-url") { HelpName = "URL", Description = "What clients see in front of the paths behind a reverse proxy: a URL, or a path prefix" };
    private readonly Option<string[]> _allowHost = new("--allow-host") { HelpName = "NAME", Description = "Accept this name in Host, besides loopback names. Repeatable" };
    private readonly Option<string[]> _allowOrigin = new("--allow-origin") { HelpName = "ORIGIN", Description = "Accept this Origin, besides loopback ones; * accepts all. Repeatable" };
    private readonly Option<string[]> _healthPath = new("--health-path") { HelpName = "PATH", Description = "Answer 200 here while the program runs. Repeatable" };
    private readonly Option<string> _metricsPath = PathOption("--metrics-path", "Path of the metrics (Prometheus); empty: none", "/metrics");
    private readonly Option<double> _sessionIdleTimeout = Seconds("--session-idle-timeout", "End a session that had neither a stream nor a request for so long; 0: never", 1800);
    private readonly Option<int> _maxSessions = Number("--max-sessions", "Sessions that may exist at once", 1000);
    private readonly Option<int> _replayMaxEvents = Number("--replay-max-events", "Events kept for each session, for clients that come back with Last-Event-ID", 1000);

    private readonly LimitOptions _limits = new();

    private readonly Option<int> _maxMessageSize = Number("--max-message-size", "The longest message accepted, in bytes", TransportDefaults.MaxMessageSize);
    private readonly Option<double> _drainTimeout = Seconds("--drain-timeout", "How long requests in flight may take after the end of input or, when serving, after SIGTERM", 10);
    private readonly Option<string> _logLevel = new("--log-level") { HelpName = "LEVEL", Description = "trace, debug, info, warning, error, critical or none. Logs go to standard error. Default: info" };
    private readonly Option<string> _logFormat = new("--log-format") { HelpName = "text|json", Description = "How log lines look. Default: text" };
    private readonly Option<bool> _debug = new("--debug") { Description = "The same as --log-level debug" };
    private readonly Option<bool> _silent = new("--silent") { Description = "The same as --log-level none" };

    private readonly Argument<string[]> _target = new("URL | COMMAND [ARGS...]") { Arity = ArgumentArity.ZeroOrMore, Description = "The server: a URL, or a command to start. Everything after the command is the command's" };

    public ProxyCommand()
    {
        _serving.Restrict();
        _transport.AcceptOnlyFromAmong("auto", "http-first", "sse-first", "streamable-http", "streamablehttp", "http-only", "sse", "sse-only");
        _logLevel.AcceptOnlyFromAmong("trace", "debug", "info", "warning", "error", "critical", "none");
        _logFormat.AcceptOnlyFromAmong("text", "json");
        _headers.Arity = _env.Arity = ArgumentArity.OneOrMore;
        Root = new RootCommand("Connects any Model Context Protocol client to any MCP server.")
        {
            _target,
            _transport, _headers, _header, _headerFile, _connectTimeout, _headersTimeout,
            _env, _cwd, _passEnvironment,
            _port, _host, _path, _ssePath, _messagesPath, _baseUrl, _allowHost, _allowOrigin, _healthPath, _metricsPath, _sessionIdleTimeout, _maxSessions, _replayMaxEvents,
            _maxMessageSize, _drainTimeout, _logLevel, _logFormat, _debug, _silent,
        };
        foreach (var option in _serving.All.Concat(_access.All).Concat(_limits.All).Concat(_signIn.All).Concat(_bridge.All))
        {
            Root.Add(option);
        }

        Demo = new Command("demo", "Run a small MCP server, connect to it through this program, and show the exchange; then keep serving");
        DemoPort = new Option<int>("--port") { HelpName = "PORT", Description = "The port to serve on; 0: any free one. Default: 8080", DefaultValueFactory = _ => 8080 };
        DemoStdio = new Option<bool>("--stdio") { Description = "Serve the demo server on standard input and output, and nothing else" };
        DemoExit = new Option<bool>("--exit") { Description = "End after the exchange" };
        Demo.Add(DemoPort);
        Demo.Add(DemoStdio);
        Demo.Add(DemoExit);
        Completion = new Command("completion", "Print a script that makes a shell complete this program's options");
        CompletionShell = new Argument<string>("shell") { Description = "bash, zsh, fish or pwsh" };
        CompletionShell.AcceptOnlyFromAmong("bash", "zsh", "fish", "pwsh");
        Completion.Add(CompletionShell);
        Root.Add(new Command("login", "Sign in to the server at a URL now: login URL [OPTIONS]"));
        Root.Add(new Command("logout", "Forget the sign-in to a server: logout URL [OPTIONS]"));
        Root.Add(new Command("status", "Show which sign-ins are stored"));
        Root.Add(new Command("reset", "Forget all sign-ins"));
        Root.Add(Demo);
        Root.Add(Completion);

        // Without an action of its own a command that has subcommands would insist on one of them.
        Root.SetAction(_ => ExitCode.Success);

        // The part of the help that options alone do not tell.
        if (Root.Options.OfType<HelpOption>().FirstOrDefault() is { Action: HelpAction help } helpOption)
        {
            helpOption.Action = new HelpWithExamples(help);
        }
    }

    public RootCommand Root { get; }

    public Command Demo { get; }

    public Option<int> DemoPort { get; }

    public Option<bool> DemoStdio { get; }

    public Option<bool> DemoExit { get; }

    public Command Completion { get; }

    public Argument<string> CompletionShell { get; }

    /// <summary>The words of a command line that are secret.</summary>
    public IEnumerable<string> Secrets(ParseResult parsed) => _signIn.Secrets(parsed).Concat(_access.Secrets(parsed)).Concat(HeaderReader.AsTyped(parsed.GetValue(_header) ?? [])
        .Where(header => !header.Value.Contains("${", StringComparison.Ordinal))
        .SelectMany(header => (string[])[header.Value, header.Value[(header.Value.IndexOf(' ', StringComparison.Ordinal) + 1)..]]));

    /// <summary>What a command line asks for about the stored sign-ins: where they are kept, and what to log.</summary>
    public (TokenStoreKind Store, LogSettings Log) StoreSettings(ParseResult parsed) => (_signIn.Store(parsed), LogOf(parsed));

    /// <summary>The settings that a command line asks for.</summary>
    /// <param name="line">The command line.</param>
    /// <param name="parsed">Its options.</param>
    /// <param name="environment">Looks a variable up.</param>
    /// <exception cref="UsageException">Something is missing, or does not go together.</exception>
    public ProxySettings Settings(NormalizedCommandLine line, ParseResult parsed, Func<string, string?> environment)
    {
        var url = line.Url ?? (line.Command is null ? NullIfEmpty(environment("SSE_URL")) : null);
        if (url is null && line.Command is null)
        {
            throw new UsageException("nothing to connect to: give a URL, or a command after \"--\" (see --help)");
        }

        var port = parsed.GetValue(_port);
        if (port is null && parsed.GetValue(_host) is not null && url is null)
        {
            throw new UsageException("--host needs --port: without it nothing is served over HTTP");
        }

        var maxMessageSize = parsed.GetValue(_maxMessageSize);
        var relay = _serving.Relay(parsed, Span(parsed, _drainTimeout));
        var endpoint = EndpointOptions(parsed, maxMessageSize, relay);
        _serving.Apply(endpoint, parsed, isServed: port is not null, isCommand: url is null);
        var host = parsed.GetValue(_host) ?? "127.0.0.1";
        return new()
        {
            Http = url is null ? null : HttpOptions(url, parsed, maxMessageSize, line.Verb == "login", environment),
            Stdio = url is null ? StdioOptions(line.Command!, parsed, maxMessageSize) : null,
            Port = port,
            Host = host,
            Endpoint = endpoint,
            ExitsWithChild = _serving.ExitsWithChild(parsed),
            Access = _access.Settings(parsed, port is not null, host, endpoint, _signIn.Network(parsed, environment), environment),
            Operations = OperationsOf(parsed),
            Connections = _limits.Connections(parsed),
            Relay = relay,
            Bridge = _bridge.Bridge(parsed),
            MaxMessageSize = maxMessageSize,
            Log = LogOf(parsed),
            Hint = line.Misplaced is { } word ? $"{word} stands after the command and was given to it; put it before the command if it was meant for mcp-proxy" : null,
        };
    }

    internal static Option<double> Seconds(string name, string description, double value) => new(name)
    {
        HelpName = "SECONDS",
        Description = description,
        DefaultValueFactory = _ => value,
        CustomParser = result => Parsed(
            result, name, "a number of seconds", double.TryParse(Word(result), NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && seconds is >= 0 and <= 1_000_000, seconds),
    };

    internal static Option<int> Number(string name, string description, int value) => new(name)
    {
        HelpName = "N",
        Description = description,
        DefaultValueFactory = _ => value,
        CustomParser = result => Parsed(
            result, name, "a number from 1", int.TryParse(Word(result), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0, number),
    };

    internal static string Word(ArgumentResult result) => result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;

    internal static T Parsed<T>(ArgumentResult result, string name, string takes, bool isGood, T value)
    {
        if (!isGood)
        {
            result.AddError($"{name} takes {takes}, not \"{Word(result)}\"");
        }

        return value;
    }

    private static Option<string> PathOption(string name, string description, string value) => new(name)
    {
        HelpName = "PATH",
        Description = description,
        DefaultValueFactory = _ => value,
    };

    private static string? NullIfEmpty(string? value) => string.IsNullOrWhiteSpace(value) ? null : value;

    private static TimeSpan Span(ParseResult parsed, Option<double> option) => TimeSpan.FromSeconds(parsed.GetValue(option));

    internal static string Rooted(string option, string path) =>
        path.StartsWith('/') && path.AsSpan().IndexOfAny("?#{} ") < 0 ? path : throw new UsageException($"{option} takes a path that begins with /, not \"{path}\"");

    private static HttpTransportChoice Choice(string? word) => word switch
    {
        "sse-first" => HttpTransportChoice.SseFirst,
        "streamable-http" or "streamablehttp" or "http-only" => HttpTransportChoice.StreamableHttpOnly,
        "sse" or "sse-only" => HttpTransportChoice.SseOnly,
        _ => HttpTransportChoice.StreamableHttpFirst,
    };

    private HttpUpstreamOptions HttpOptions(string text, ParseResult parsed, int maxMessageSize, bool waitsForUser, Func<string, string?> environment)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || !NormalizedCommandLine.IsUrl(text))
        {
            throw new UsageException($"\"{text}\" is not an http or https URL");
        }

        if (url.UserInfo.Length > 0)
        {
            throw new UsageException("a URL must not carry a user name or password: every process on the machine could read it; use --header with ${NAME}");
        }

        if (parsed.GetValue(_env) is { Length: > 0 } || parsed.GetValue(_cwd) is not null)
        {
            throw new UsageException("--env and --cwd are for a command; with a URL nothing is started");
        }

        // People paste "Content-Type: application/json" with the rest; it says what is sent anyway.
        var headers = HeaderReader.Read(parsed.GetValue(_header) ?? [], parsed.GetValue(_headerFile) ?? [], environment)
            .Where(header => !HttpUpstream.IsOfContent(header.Key)).ToList();
        if (NullIfEmpty(environment("API_ACCESS_TOKEN")) is { } token && !headers.Exists(header => string.Equals(header.Key, "Authorization", StringComparison.OrdinalIgnoreCase)))
        {
            token = token.Trim();
            headers.Add(new("Authorization", token.AsSpan().IndexOfAny("\r\n\0") < 0 ? $"Bearer {token}" : throw new UsageException("API_ACCESS_TOKEN has a line break or NUL in it")));
        }

        var headersTimeout = parsed.GetValue(_headersTimeout);
        var hasOwnAuthorization = headers.Exists(header => string.Equals(header.Key, "Authorization", StringComparison.OrdinalIgnoreCase));
        return new()
        {
            OAuth = _signIn.OAuth(parsed, hasOwnAuthorization, parsed.GetValue(_port) is null ? parsed.GetValue(_host) : null, HeaderReader.AsTyped(parsed.GetValue(_header) ?? []), waitsForUser, environment),
            Network = _signIn.Network(parsed, environment),
            Url = url,
            Transport = Choice(parsed.GetValue(_transport)),
            Headers = headers,
            ConnectTimeout = Span(parsed, _connectTimeout),
            HeadersTimeout = headersTimeout == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(headersTimeout),
            MaxMessageSize = maxMessageSize,
        };
    }

    private StdioUpstreamOptions StdioOptions(IReadOnlyList<string> command, ParseResult parsed, int maxMessageSize)
    {
        if (parsed.GetValue(_header) is { Length: > 0 } || parsed.GetValue(_headerFile) is { Length: > 0 })
        {
            throw new UsageException("--header is for a URL; to a command, give variables with --env");
        }

        var environment = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var pair in parsed.GetValue(_env) ?? [])
        {
            var equals = pair.IndexOf('=', StringComparison.Ordinal);
            if (equals < 1)
            {
                throw new UsageException("--env takes KEY VALUE or KEY=VALUE, with a name that is not empty");
            }

            environment[pair[..equals]] = pair[(equals + 1)..];
        }

        return new()
        {
            Command = command[0].Length > 0 ? command[0] : throw new UsageException("the command is empty"),
            Arguments = [.. command.Skip(1)],
            Environment = environment,
            PassEnvironment = parsed.GetValue(_passEnvironment),
            WorkingDirectory = parsed.GetValue(_cwd),
            MaxMessageSize = maxMessageSize,
        };
    }

    private McpEndpointOptions EndpointOptions(ParseResult parsed, int maxMessageSize, RelayOptions relay)
    {
        Uri? baseUrl = null;
        if (NullIfEmpty(parsed.GetValue(_baseUrl)) is { } text)
        {
            baseUrl = NormalizedCommandLine.IsUrl(text) && Uri.TryCreate(text, UriKind.Absolute, out var absolute) ? absolute
                : new Uri(Rooted("--base-url", text), UriKind.Relative);
        }

        var operations = OperationsOf(parsed);
        string[] paths = [parsed.GetValue(_path)!, parsed.GetValue(_ssePath)!, parsed.GetValue(_messagesPath)!, .. operations.HealthPaths, operations.ReadyPath!, .. operations.MetricsPath is { } metrics ? [metrics] : Array.Empty<string>()];
        if (paths.GroupBy(path => path.TrimEnd('/'), StringComparer.OrdinalIgnoreCase).FirstOrDefault(group => group.Count() > 1) is { } shared)
        {
            throw new UsageException($"two things cannot be at one path, {shared.First()}: change --path, --sse-path, --messages-path, --health-path or --metrics-path (/healthz and /readyz are taken)");
        }

        return new()
        {
            StreamableHttpPath = Rooted("--path", parsed.GetValue(_path)!),
            SsePath = Rooted("--sse-path", parsed.GetValue(_ssePath)!),
            MessagesPath = Rooted("--messages-path", parsed.GetValue(_messagesPath)!),
            BaseUrl = baseUrl,
            AllowedHosts = AllowedHosts(parsed),
            AllowedOrigins = parsed.GetValue(_allowOrigin) ?? [],
            MaxMessageSize = maxMessageSize,
            MaxSessions = parsed.GetValue(_maxSessions),
            SessionIdleTimeout = parsed.GetValue(_sessionIdleTimeout) == 0 ? TimeSpan.MaxValue : Span(parsed, _sessionIdleTimeout),
            ReplayMaxEvents = parsed.GetValue(_replayMaxEvents),
            Limits = _limits.Requests(parsed),
            Relay = relay,
        };
    }

    private OperationsOptions OperationsOf(ParseResult parsed)
    {
        var defaults = new OperationsOptions();
        return defaults with
        {
            HealthPaths = [.. defaults.HealthPaths, .. (parsed.GetValue(_healthPath) ?? []).Select(path => Rooted("--health-path", path)).Except(defaults.HealthPaths, StringComparer.OrdinalIgnoreCase)],
            MetricsPath = NullIfEmpty(parsed.GetValue(_metricsPath)) is { } path ? Rooted("--metrics-path", path) : null,
        };
    }

    /// <summary>The names that were given, and the name to serve on: no page can make that mean something else.</summary>
    private string[] AllowedHosts(ParseResult parsed)
    {
        var named = parsed.GetValue(_allowHost) ?? [];
        return parsed.GetValue(_host) is { } host && Uri.CheckHostName(host) == UriHostNameType.Dns ? [.. named, host] : named;
    }

    private LogSettings LogOf(ParseResult parsed) => new(LevelOf(parsed), parsed.GetValue(_logFormat) == "json");

    private LogLevel LevelOf(ParseResult parsed) =>
        parsed.GetValue(_silent) ? LogLevel.None
        : parsed.GetValue(_debug) ? LogLevel.Debug
        : parsed.GetValue(_logLevel) is { } word ? Enum.Parse<LogLevel>(word == "info" ? "Information" : word, ignoreCase: true)
        : LogLevel.Information;
}
