using McpProxy.Transports;
using McpProxy.Transports.Http;
using McpProxy.Transports.Stdio;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace McpProxy.AspNetCore;

/// <summary>Names the server that an endpoint offers.</summary>
/// <param name="services">Where the clock and the logs of the application come from.</param>
public sealed class UpstreamBuilder(IServiceProvider services)
{
    private readonly TimeProvider? _time = services.GetService<TimeProvider>();
    private readonly ILoggerFactory? _loggers = services.GetService<ILoggerFactory>();

    /// <summary>The application's services.</summary>
    public IServiceProvider Services { get; } = services;

    /// <summary>A stdio server that is started as a child of the application.</summary>
    /// <param name="command">The program: a path, or a name looked up in <c>PATH</c>. It is started without a shell.</param>
    /// <param name="arguments">Its arguments, passed on verbatim.</param>
    public IUpstream Stdio(string command, params string[] arguments) => Stdio(new StdioUpstreamOptions { Command = command, Arguments = arguments });

    /// <summary>A stdio server that is started as a child of the application.</summary>
    public IUpstream Stdio(StdioUpstreamOptions options) => new StdioUpstream(options, _time, _loggers);

    /// <summary>A server behind a URL: Streamable HTTP of any revision, or HTTP+SSE.</summary>
    /// <exception cref="ArgumentException">The URL is not an absolute http or https URL.</exception>
    public IUpstream Http(Uri url) => Http(new HttpUpstreamOptions { Url = url });

    /// <summary>A server behind a URL, with headers, sign-in or a network of its own.</summary>
    /// <exception cref="ArgumentException">The options are not good; see <see cref="HttpUpstream"/>.</exception>
    public IUpstream Http(HttpUpstreamOptions options) => new HttpUpstream(options, _time, _loggers);
}
