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
    /// <exception cref="ArgumentException">The URL is not an absolute http or https URL, or a header cannot be sent with every request.</exception>
    public HttpUpstream(HttpUpstreamOptions options, TimeProvider? time = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!options.Url.IsAbsoluteUri || options.Url.Scheme is not ("http" or "https"))
        {
            throw new ArgumentException($"\"{options.Url}\" is not an http or https URL", nameof(options));
        }

        foreach (var (name, value) in options.Headers)
        {
            if (!McpHeaders.IsToken(name) || value.AsSpan().IndexOfAny("\r\n\0") >= 0)
            {
                throw new ArgumentException($"The header \"{name}\" has a character that no header may have", nameof(options));
            }

            if (IsOfContent(name))
            {
                throw new ArgumentException($"The header \"{name}\" describes the message's body, which is the proxy's to say", nameof(options));
            }
        }

        _options = options;
        _http = UpstreamHttpClient.CreateInvoker(options);
        _time = time ?? TimeProvider.System;
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("upstream");
        _tools = new(_logger);
    }

    /// <summary>Whether a header describes a body: such a one cannot be set for every request.</summary>
    internal static bool IsOfContent(string name) =>
        name.StartsWith("Content-", StringComparison.OrdinalIgnoreCase)
        || string.Equals(name, "Transfer-Encoding", StringComparison.OrdinalIgnoreCase)
        || string.Equals(name, "Expires", StringComparison.OrdinalIgnoreCase)
        || string.Equals(name, "Last-Modified", StringComparison.OrdinalIgnoreCase)
        || string.Equals(name, "Allow", StringComparison.OrdinalIgnoreCase);

    /// <inheritdoc/>
    public string Name => UpstreamHttpClient.Describe(_options.Url);

    /// <inheritdoc/>
    public IConnection Connect() => new HttpUpstreamConnection(new(_options, _http, _time), _tools, _logger);

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();
}
