using System.Security.Cryptography;
using McpProxy.Auth.Clients;
using McpProxy.Auth.Discovery;
using McpProxy.Auth.Grants;
using McpProxy.Auth.Store;
using McpProxy.Transports.Http;
using Microsoft.Extensions.Logging;

namespace McpProxy.Auth;

/// <summary>What the parts of the OAuth client share: the server that it is for, the options, and those who do the single steps.</summary>
internal sealed class OAuthContext
{
    private static readonly TimeSpan s_lockPoll = TimeSpan.FromMilliseconds(50);

    /// <exception cref="ArgumentException">The client's key is none.</exception>
    public OAuthContext(Uri server, OAuthOptions options, HttpMessageInvoker http, ITokenStore store, TimeProvider time, ILogger logger)
    {
        Server = server;
        Options = options;
        Store = store;
        Time = time;
        Logger = logger;
        Key = new(server.OriginalString, options.Resource, options.Profile);
        Http = new(http, server, options.AllowHttp, time);
        Discovery = new(Http, server, options.Resource, logger);
        JwtSigner? key;
        try
        {
            key = options.ClientKey is { } pem ? JwtSigner.FromPem(pem) : null;
        }
        catch (CryptographicException e)
        {
            throw new ArgumentException($"the client's key cannot be used: {e.Message}", nameof(options), e);
        }

        Authentication = new(key, options.ClientKeyId, time);
        Tokens = new(Http, Authentication);
        Registrar = new(Http, options, key is not null, logger);
    }

    public Uri Server { get; }

    /// <summary>The server's origin, for messages: its path may be secret.</summary>
    public string ServerName => UpstreamHttpClient.Describe(Server);

    public OAuthOptions Options { get; }

    public ITokenStore Store { get; }

    public StoreKey Key { get; }

    public TimeProvider Time { get; }

    public ILogger Logger { get; }

    public OAuthHttpClient Http { get; }

    public MetadataDiscovery Discovery { get; }

    public ClientAuthentication Authentication { get; }

    public TokenEndpoint Tokens { get; }

    public ClientRegistrar Registrar { get; }

    /// <summary>The <c>resource</c> parameter, the same in every request; null to leave it out.</summary>
    /// <param name="resource">What the server says about itself; null when it was not asked.</param>
    public string? ResourceParameter(ProtectedResource? resource) =>
        Options.Resource is null ? resource?.Resource ?? MetadataDiscovery.CanonicalUri(Server) : NullIfEmpty(Options.Resource);

    /// <summary>The form of a token request, with the <c>resource</c> and <c>scope</c> that it names.</summary>
    public static List<KeyValuePair<string, string>> Form(string grantType, string? resource, ScopeSet? scope, params ReadOnlySpan<(string Name, string? Value)> parameters)
    {
        List<KeyValuePair<string, string>> form = [new("grant_type", grantType)];
        foreach (var (name, value) in (ReadOnlySpan<(string, string?)>)[.. parameters, ("scope", scope?.ToParameter()), ("resource", resource)])
        {
            if (value is not null)
            {
                form.Add(new(name, value));
            }
        }

        return form;
    }

    /// <summary>Whether stored tokens are what these options ask for.</summary>
    public bool Accepts(StoredTokens tokens) =>
        (Options.Client is null || Options.Client.Id == tokens.ClientId)
        && ScopeSet.Parse(tokens.Scope).Covers(ScopeSet.Parse(Options.Scope));

    /// <summary>Waits for a lock that other processes hold for a moment.</summary>
    public async Task<IDisposable> LockAsync(StoreLock kind, CancellationToken cancellationToken)
    {
        while (true)
        {
            if (Store.TryLock(Key, kind) is { } held)
            {
                return held;
            }

            await Task.Delay(s_lockPoll, Time, cancellationToken);
        }
    }

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;
}
