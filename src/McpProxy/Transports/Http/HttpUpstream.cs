using McpProxy.Auth;
using McpProxy.Auth.SignIn;
using McpProxy.Auth.Store;
using McpProxy.Transports.Polling;
using McpProxy.Transports.StreamableHttp;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace McpProxy.Transports.Http;

/// <summary>A server behind a URL: Streamable HTTP of any revision, or HTTP+SSE.</summary>
public sealed partial class HttpUpstream : IFrontedUpstream, IAsyncDisposable
{
    private readonly HttpUpstreamOptions _options;
    private readonly UpstreamInvoker _http;
    private readonly ToolHeaderCatalog _tools;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly OAuthAuthorization? _authorization;

    /// <summary>Makes an upstream. Nothing is sent before the first message.</summary>
    /// <param name="options">Where it is and how to reach it.</param>
    /// <param name="time">The clock of timeouts and retries.</param>
    /// <param name="loggers">Where logs go.</param>
    /// <exception cref="ArgumentException">The URL is not an absolute http or https URL, a header cannot be sent with every request, or a key or certificate cannot be read.</exception>
    public HttpUpstream(HttpUpstreamOptions options, TimeProvider? time = null, ILoggerFactory? loggers = null)
        : this(options, time, loggers, loop: null)
    {
    }

    /// <summary>The same with plain connections on an event loop.</summary>
    internal HttpUpstream(HttpUpstreamOptions options, TimeProvider? time, ILoggerFactory? loggers, EventLoop? loop)
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
        _time = time ?? TimeProvider.System;
        _http = UpstreamHttpClient.CreateInvoker(options, _time, loop);
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("upstream");
        _tools = new(_logger);
        if (options.OAuth is { } oauth)
        {
            var logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger(SignInCategory);
            var root = oauth.StoreFolder ?? FileTokenStore.DefaultRoot(Environment.GetEnvironmentVariable);
            var context = new OAuthContext(options.Url, oauth, _http, FileTokenStore.Open(oauth.Store, root, logger), _time, logger);
            _authorization = new(context, new(root, logger), new SystemBrowser());
            _authorization.Prompted += prompt => LogPrompt(logger, prompt.Text);
        }
    }

    /// <summary>The category of log lines about sign-ins, among them the page to sign in at.</summary>
    public const string SignInCategory = "sign-in";

    /// <summary>Signs in, for commands that do nothing else; null when sign-ins are off.</summary>
    internal OAuthAuthorization? Authorization => _authorization;

    /// <summary>Sends single requests, for commands that do nothing else.</summary>
    internal UpstreamHttpClient NewClient() => new(_options, _http, _time, _authorization);

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
    public bool StartsServer => false;

    /// <inheritdoc/>
    public IConnection Connect() => Front(ConnectDirectly());

    /// <inheritdoc/>
    IConnection IFrontedUpstream.ConnectDirectly() => ConnectDirectly();

    /// <inheritdoc/>
    IConnection IFrontedUpstream.Front(IConnection connection) => Front(connection);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_authorization is not null)
        {
            await _authorization.DisposeAsync();
        }

        _http.Dispose();
    }

    private HttpUpstreamConnection ConnectDirectly() => new(NewClient(), _tools, _logger);

    private IConnection Front(IConnection connection) =>
        _authorization?.AsksUser == true ? new SignInFront(connection, _authorization, Name, _logger) : connection;

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Text}")]
    private static partial void LogPrompt(ILogger logger, string text);
}
