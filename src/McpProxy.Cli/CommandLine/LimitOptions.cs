using System.CommandLine;
using System.Globalization;
using McpProxy.AspNetCore.Limits;
using McpProxy.JsonRpc;

namespace McpProxy.Cli.CommandLine;

/// <summary>The options that bound what clients may ask of a server that is offered over HTTP.</summary>
internal sealed class LimitOptions
{
    /// <summary>Kestrel reads the headers of a request into a buffer of this size.</summary>
    private const int MostHeaderBytes = 1024 * 1024;

    private readonly Option<int> _maxRequestsPerSession = Count("--max-requests-per-session", "Requests of one session in flight at once; 0: no limit", 256);
    private readonly Option<int> _maxRequestsPerClient = Count("--max-requests-per-client", "Requests of one client in flight at once, in all its sessions; 0: no limit", 0);
    private readonly Option<double> _rateLimit = new("--rate-limit")
    {
        HelpName = "N",
        Description = "Requests that one client may make in a second; 0: no limit",
        DefaultValueFactory = _ => 0,
        CustomParser = result => ProxyCommand.Parsed(
            result, "--rate-limit", "a number of requests a second", double.TryParse(ProxyCommand.Word(result), NumberStyles.Float, CultureInfo.InvariantCulture, out var rate) && rate is 0 or (>= 0.001 and <= 1_000_000), rate),
    };

    private readonly Option<int> _rateBurst = Count("--rate-burst", "Requests that one client may make at once after a pause; 0: twice the rate, at least 10", 0);
    private readonly Option<int> _maxJsonDepth = Count("--max-json-depth", "The deepest nesting of a message that a client posts", 128, from: 4, to: JsonRpcMessage.MaxDepth);
    private readonly Option<int> _maxHeaderCount = Count("--max-header-count", "Headers of one HTTP request", 100, from: 10);
    private readonly Option<int> _maxHeaderSize = Count("--max-header-size", "Bytes of the headers of one HTTP request", 32768, from: 1024, to: MostHeaderBytes);
    private readonly Option<int> _maxConnections = Count("--max-connections", "Connections open at once; 0: no limit", 5000);
    private readonly Option<double> _headerTimeout = ProxyCommand.Seconds("--client-header-timeout", "How long the headers of an HTTP request may take to arrive; 0: no limit", 30);
    private readonly Option<double> _bodyTimeout = ProxyCommand.Seconds("--client-body-timeout", "How long a body may take before it has to come at 240 bytes a second; 0: no limit", 30);
    private readonly Option<double> _keepAliveTimeout = new("--idle-connection-timeout")
    {
        HelpName = "SECONDS",
        Description = "How long a connection without a request stays open; 0: no limit",
        DefaultValueFactory = _ => 130,
        CustomParser = result => ProxyCommand.Parsed(
            result,
            "--idle-connection-timeout",
            "a number of seconds up to 3600",
            double.TryParse(ProxyCommand.Word(result), NumberStyles.Float, CultureInfo.InvariantCulture, out var seconds) && seconds is >= 0 and <= 3600,
            seconds),
    };

    /// <summary>All of them, in the order of the help.</summary>
    public IEnumerable<Option> All =>
    [
        _maxRequestsPerSession, _maxRequestsPerClient, _rateLimit, _rateBurst, _maxJsonDepth, _maxHeaderCount, _maxHeaderSize, _maxConnections, _headerTimeout, _bodyTimeout, _keepAliveTimeout,
    ];

    /// <summary>How much clients may ask for.</summary>
    public RequestLimits Requests(ParseResult parsed) => new()
    {
        MaxRequestsPerSession = parsed.GetValue(_maxRequestsPerSession),
        MaxRequestsPerClient = parsed.GetValue(_maxRequestsPerClient),
        RequestsPerSecond = parsed.GetValue(_rateLimit),
        Burst = parsed.GetValue(_rateBurst) == 0 || parsed.GetValue(_rateLimit) > 0
            ? parsed.GetValue(_rateBurst)
            : throw new UsageException("--rate-burst needs --rate-limit: without it there is no rate that a burst could exceed"),
        MaxJsonDepth = parsed.GetValue(_maxJsonDepth),
    };

    /// <summary>What one connection may cost.</summary>
    public ConnectionLimits Connections(ParseResult parsed) => new()
    {
        MaxConnections = parsed.GetValue(_maxConnections),
        HeaderTimeout = TimeSpan.FromSeconds(parsed.GetValue(_headerTimeout)),
        BodyTimeout = TimeSpan.FromSeconds(parsed.GetValue(_bodyTimeout)),
        KeepAliveTimeout = TimeSpan.FromSeconds(parsed.GetValue(_keepAliveTimeout)),
        MaxHeaderCount = parsed.GetValue(_maxHeaderCount),
        MaxHeaderSize = parsed.GetValue(_maxHeaderSize),
    };

    private static Option<int> Count(string name, string description, int value, int from = 0, int to = 1_000_000) => new(name)
    {
        HelpName = "N",
        Description = description,
        DefaultValueFactory = _ => value,
        CustomParser = result => ProxyCommand.Parsed(
            result, name, $"a number from {from} to {to}", int.TryParse(ProxyCommand.Word(result), NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= from && number <= to, number),
    };
}
