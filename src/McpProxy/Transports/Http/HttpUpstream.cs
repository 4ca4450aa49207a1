using McpProxy.Transports.StreamableHttp;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Transports.Http;

/// <summary>A server behind a URL: Streamable HTTP of any revision, or HTTP+SSE.</summary>
public sealed class HttpUpstream : IUpstream, IDisposable
{
    private readonly HttpUpstreamOptions _options;
    private readonly HttpMessageInvoker _http;
    private readonly ToolHeaderCatalog _tools;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    /// <summary>Makes an upstream. Nothing is sent before the first message.</summary>
    /// <param name="options">Where it is and how to reach it.</param>
    /// <param name="time">The clock of timeouts and retries.</param>
    /// <param name="loggers">Where logs go.</param>
    /// <exception cref="ArgumentException">The URL is not an absolute http or https URL.</exception>
    public HttpUpstream(HttpUpstreamOptions options, TimeProvider? time = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!options.Url.IsAbsoluteUri || options.Url.Scheme is not ("http" or "https"))
        {
            throw new ArgumentException($"\"{options.Url}\" is not an http or https URL", nameof(options));
        }

        _options = options;
        _http = UpstreamHttpClient.CreateInvoker(options);
        _time = time ?? TimeProvider.System;
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("upstream");
        _tools = new(_logger);
    }

    /// <inheritdoc/>
    public string Name => UpstreamHttpClient.Describe(_options.Url);

    /// <inheritdoc/>
    public IConnection Connect() => new HttpUpstreamConnection(new(_options, _http, _time), _tools, _logger);

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();
}
